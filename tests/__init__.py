"""Does it keep its word, and how fast?"""
