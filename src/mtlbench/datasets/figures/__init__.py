"""Small rendered pictures of one thing each, for classification: solids, sketches, textures, digits."""
