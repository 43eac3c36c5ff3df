fn main() -> std::process::ExitCode {
    mslc::cli::main()
}
