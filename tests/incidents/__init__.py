"""Incidents of other systems, told in public: none of them happens here.

Each test is played twice on PostgreSQL. With the code as it is the incident does not
happen; without the guard that keeps it away, taken out by the test, it does, so that
a test that could not fail would be seen. docs/incidents.md lists them with sources.
"""
