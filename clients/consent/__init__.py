"""Pages where a person lets a program act for them, sees which they have let in, and takes that back.

`GET /oauth/consent` (what a program asks) -> log in -> agree or refuse -> back to the program;
`GET /oauth/programs` lists. Plain HTML without scripts; all that they know they ask of the graph.
"""
