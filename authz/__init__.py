"""Who is asking, and what may they see: identity, policies, facts, and `decide`, the one public verb."""
