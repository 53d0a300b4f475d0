"""What is allowed: the policy's text, Casbin that owns its meaning, and the table compiled from it."""
