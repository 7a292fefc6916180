"""Settings of cleaning, and a text that they keep."""

SETTINGS = {
    "min_characters": 20,
    "max_characters": 400,
    "min_script_fraction": 0.7,
    "max_repeated_lines": 0.4,
    "max_symbols": 0.3,
}
VERSE = "আজি ঝরো ঝরো মুখর বাদলদিনে\nজানি নে, জানি নে কিছুতে কেন মন লাগে না॥"
