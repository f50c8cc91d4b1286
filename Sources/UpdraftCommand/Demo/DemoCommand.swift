import HTTPClient
import ServiceRuntime
import Support

/// `updraft demo`: see `DemoOptions.help`.
enum DemoCommand {
    static func run(_ arguments: [String]) async -> Int32 {
        if arguments.contains("--help") || arguments.contains("-h") {
            Terminal.line(DemoOptions.help)
            return 0
        }
        let (parsed, complaint) = DemoOptions.parse(arguments, readFile: DemoFiles.read)
        guard let options = parsed else {
            Terminal.complaint("updraft demo: \(complaint)")
            return 2
        }
        let suite = DemoSuite(options, programs: DemoFiles.programFolder())
        let interruption = Shutdown()
        let signals = Interruptions(interruption)
        let story = Task { await play(options, suite) }
        let watcher = Task {
            await interruption.requested()
            story.cancel()
        }
        var code = await story.value
        if interruption.isRequested { code = 130 }
        if options.keep, !interruption.isRequested {
            Terminal.line(looking(options))
            await interruption.requested()
        }
        watcher.cancel()
        await suite.stop()
        signals.cancel()
        return code
    }

    private static func play(_ options: DemoOptions, _ suite: DemoSuite) async -> Int32 {
        do {
            let http = HTTPClient(userAgent: "updraft-demo")
            let verdict = try await DemoRun(options: options, suite: suite, http: http).play()
            Terminal.line("\nverdict")
            for finding in verdict.findings {
                Terminal.line("  \(finding.holds ? "holds " : "BROKEN")  \(finding.invariant): \(finding.detail)")
            }
            Terminal.line(verdict.holds ? "\nthe story ended well" : "\nan invariant was broken")
            if !verdict.holds { Terminal.line(await suite.lastWords()) }
            // For whoever started this, and learns only that Ctrl-C ended it.
            if verdict.holds { try? DemoFiles.write("", to: "\(options.state)/passed") }
            return verdict.holds ? 0 : 1
        } catch is CancellationError {
            return 130
        } catch {
            Terminal.complaint("\nupdraft demo: \(error)\n\nlast lines of the logs in \(options.state):")
            Terminal.complaint(await suite.lastWords())
            return 1
        }
    }

    private static func looking(_ options: DemoOptions) -> String {
        let broker =
            options.transportURLFile.map { "UPDRAFT_BUS_TRANSPORT_URL_FILE=\($0)" } ?? "UPDRAFT_BUS_TRANSPORT_URL=…"
        let command = "\(broker) \(CommandLine.arguments.first ?? "updraft")"
        return """

            everything is left running. To look at it:
              logs            \(options.state)/*.log
              Kubernetes      kubectl --kubeconfig \(options.state)/cloud/kubeconfig get nodes,pods -A
              OpenStack       OS_CLIENT_CONFIG_FILE=\(options.state)/cloud/clouds.yaml openstack --os-cloud practice stack list
              the cloud       \(options.state)/cloud/practice.json says where its control API is
              configuration   \(options.state)/updraft.yaml
              Updraft itself  \(command) status -c \(options.state)/updraft.yaml
                              likewise explain group workers, timeline NODE
            Ctrl-C stops it.
            """
    }
}
