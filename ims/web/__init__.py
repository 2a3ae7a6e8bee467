"""The pages: templates, styles, small scripts, and the pure functions that draw and word what they show."""
