"""x"""

PITFALLS = []
