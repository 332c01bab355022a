"""Defects planted one at a time: is the checker good enough to name each of them?

`bugs` lists the defects, each a few changed lines of the product. `copies` plants one
in a throw-away copy of the tree, `play` takes that copy in a process of its own through
the same `scenes` for every defect, on real PostgreSQL and with the sandbox as the
gateway, and asks the checker after each scene. A defect is caught when an invariant
that was named beforehand is broken; a scene that merely fails catches nothing. The tree
without a defect must go through all scenes with nothing broken.

    python -m tests.planted [--only NAME] [--json FILE]
"""
