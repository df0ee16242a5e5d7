"""Reading MEDEC, pairing notes, the four-way split, the engines' formats, synthetic notes, validation."""
