"""Who answers: the large models that students learn from and fall back on."""
