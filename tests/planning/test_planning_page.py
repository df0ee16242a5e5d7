def test_the_tables_on_the_page_are_up_to_date(repository, load_script):
    script = load_script("write_planning_docs")

    committed = (repository / "docs" / "planning.md").read_text(encoding="utf-8")

    assert committed == script.page(committed), "run: python scripts/write_planning_docs.py"
