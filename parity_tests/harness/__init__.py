"""Feed both twins the same numbers, compare, and say by how many roundings they differ."""
