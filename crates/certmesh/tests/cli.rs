//! What the binary says: help, messages and exit codes, held to the letter.

#[test]
fn commands_say_what_they_said() {
    trycmd::TestCases::new().case("tests/cmd/*.toml").case("tests/cmd/*.md");
}
