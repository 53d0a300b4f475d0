"""Who knows whom: friendships and blocks between people, and what follows from them."""
