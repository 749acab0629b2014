//! `rescind`: see `rescind --help`.

fn main() -> std::process::ExitCode {
    rescind_control::cli::run()
}
