"""Several regions before one router: each call goes where the people it is about are at home."""
