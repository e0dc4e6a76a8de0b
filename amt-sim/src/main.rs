//! `amt-sim`: run a program under a simulated AMT device, or keep a device running.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
