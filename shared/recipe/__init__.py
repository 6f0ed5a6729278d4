"""Recipes: their model, their objectives and canvases, and the bundled TOML files (`bundled/`, `templates/`).

Import `Recipe` and `load_recipe` from `shared.recipe.recipe`, and pixel sizes from `shared.recipe.canvas`.
"""
