"""A page that shows what a tagger hears, and the programs that build and serve it."""
