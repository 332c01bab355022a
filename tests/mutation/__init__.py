"""Mutation testing of the rules: would the fast tests notice a changed line?

`python -m tests.mutation` changes the modules of `MODULES` in a throw-away copy, one
small change at a time (mutmut), and runs the tests that cover the line, without any
database. A change that no test notices is a survivor; `survivors.toml` lists those that
change nothing that matters, each with the reason, and any other one fails the run.
"""
