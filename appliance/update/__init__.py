"""Updates of a kit that has two slots: RAUC writes and switches them, and a tried version has to prove itself."""
