//! The same seed is the same run, in another process too.

use std::process::Command;

fn replay(seed: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_certmesh-sim")).args(["--seed", seed]).output();
    let output = output.expect("the simulator starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).expect("a trace is text")
}

#[test]
fn a_seed_tells_the_same_story_byte_for_byte() {
    for seed in ["5", "21", "440"] {
        let story = replay(seed);
        assert!(story.lines().count() > 200, "{story}");
        // Lines, so that a difference is shown where it begins.
        for (one, other) in story.lines().zip(replay(seed).lines()) {
            assert_eq!(one, other, "seed {seed}");
        }
        assert_eq!(story, replay(seed));
    }
    assert_ne!(replay("5"), replay("6"));
}
