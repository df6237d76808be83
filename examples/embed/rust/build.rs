//! Gets the linker flags from the cymbals that is installed for the `python` on PATH.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let asked = Command::new("python").args(["-m", "cymbals", "--libs"]).output().expect("python is not on PATH");
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    for flag in String::from_utf8(asked.stdout).unwrap().split_whitespace() {
        println!("cargo:rustc-link-arg={flag}");
    }
}
