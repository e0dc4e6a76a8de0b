//! The example is a promise: it runs.

#[allow(dead_code, reason = "an example has a main of its own")]
#[path = "../examples/in_process.rs"]
mod example;

#[test]
fn the_example_runs() -> Result<(), Box<dyn std::error::Error>> {
    example::main()
}
