"""Programs that ask by themselves or for somebody: who they are, what they were allowed, and their tokens.

administrator -> ApiClient · athlete -> Authorization (consent, code) · token endpoint (OAuth 2.1, by Authlib)
-> access token with scope, client and organisation. `answering.answer` is all that HTTP needs to know.
"""
