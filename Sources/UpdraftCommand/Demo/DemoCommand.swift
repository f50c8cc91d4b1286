import Dispatch
import Glibc
import HTTPClient
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
        let interrupted = interruptions()
        let story = Task { await play(options, suite) }
        let watcher = Task {
            for await _ in interrupted {
                story.cancel()
                return
            }
        }
        var code = await story.value
        if story.isCancelled { code = 130 }
        if options.keep, code != 130 {
            Terminal.line(looking(options))
            for await _ in interrupted { break }
        }
        watcher.cancel()
        await suite.stop()
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
        """

        everything is left running. To look at it:
          logs            \(options.state)/*.log
          Kubernetes      kubectl --kubeconfig \(options.state)/cloud/kubeconfig get nodes,pods -A
          OpenStack       OS_CLIENT_CONFIG_FILE=\(options.state)/cloud/clouds.yaml openstack --os-cloud practice stack list
          the cloud       \(options.state)/cloud/practice.json says where its control API is
          configuration   \(options.state)/updraft.yaml
        Ctrl-C stops it.
        """
    }

    /// SIGINT and SIGTERM as a stream, from now on.
    private static func interruptions() -> AsyncStream<Int32> {
        let (stream, continuation) = AsyncStream.makeStream(of: Int32.self)
        let sources = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { @Sendable in continuation.yield(number) }
            source.resume()
            return source
        }
        let keeper = Keeper(sources: sources)
        continuation.onTermination = { _ in keeper.cancel() }
        return stream
    }

    // @unchecked: Dispatch's sources may be cancelled from any thread, which its Swift overlay does not say.
    private final class Keeper: @unchecked Sendable {
        private let sources: [any DispatchSourceSignal]

        init(sources: [any DispatchSourceSignal]) {
            self.sources = sources
        }

        func cancel() {
            for source in sources { source.cancel() }
        }
    }
}
