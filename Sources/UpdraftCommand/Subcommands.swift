extension UpdraftCommand {
    /// All of them, in the order of `--help`.
    static let subcommands: [Subcommand] = []
}
