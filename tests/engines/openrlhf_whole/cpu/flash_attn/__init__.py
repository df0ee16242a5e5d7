"""Stands where OpenRLHF imports flash-attn, which only packing uses, and only a GPU has."""
