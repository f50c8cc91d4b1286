import Dispatch
import Glibc
import JSONReader
import Support

/// `updraft practice-cloud`: plays the cloud until it is told to stop.
public struct PracticeCloudCommand: Sendable {
    /// What `--help` prints.
    public static let help = """
        updraft practice-cloud: Keystone, Heat, Nova and Kubernetes on loopback, to rehearse with

        usage: updraft practice-cloud [options]

          --state-dir DIR        write practice.json, kubeconfig and clouds.yaml there
                                 (default: a new folder under TMPDIR or /tmp)
          --port N               first of six ports; default: any free ones
          --config FILE          stacks as JSON: {"stacks": [...]}, see docs/practice-cloud.md
          --stack NAME           name of the stack (k8s)
          --group NAME           its group's resource (workers)
          --min N --desired N --max N   sizes of the group (1, min, 10)
          --flavor NAME          m1.small, m1.medium, m1.large (default), m1.xlarge, g1.gpu
          --pre-delete-hook      members wait at a pre-delete hook before their server goes
          --policies             scaling policies scale_out and scale_in on the group
          --pace X               all times of Heat and machines times X (1 = as recorded; the demo takes 0.2)
          --boot SECONDS         from an ACTIVE server to its Node, before --pace (20)
          --token-lifetime SECONDS   of Keystone's tokens (3600)
          --kubernetes-minor N   which Kubernetes 1.N is played (30); 20 knows policy/v1beta1 only
          --transport-url URL    publish Heat's notifications there (or UPDRAFT_PRACTICE_TRANSPORT_URL)
          --seed N               ids and names follow from it (1)

        Prints one line of JSON once everything listens, and ends on SIGTERM or SIGINT.

        """

    /// Runs it; the process's exit code.
    public static func run(arguments: [String]) async -> Int32 {
        if arguments.contains("--help") || arguments.contains("-h") {
            write(help, to: 1)
            return 0
        }
        do throws(PracticeCloudError) {
            let options = try parse(arguments)
            let cloud = try PracticeCloud(options)
            let line = try writeState(cloud, options)
            write(line + "\n", to: 1)
            await terminationSignal()
            await cloud.stop()
            return 0
        } catch {
            write("updraft practice-cloud: \(error.description)\n", to: 2)
            return error.code == .configuration ? 2 : 1
        }
    }

    /// Reads the flags.
    static func parse(_ arguments: [String]) throws(PracticeCloudError) -> PracticeCloudOptions {
        var options = PracticeCloudOptions()
        options.transportURL = environment("UPDRAFT_PRACTICE_TRANSPORT_URL")
        var rest = arguments[...]
        var minimum: Int?
        var desired: Int?
        var maximum: Int?
        var stack: String?
        var group = options.group
        func text(_ flag: String) throws(PracticeCloudError) -> String {
            guard let value = rest.popFirst() else {
                throw PracticeCloudError(.configuration, "\(flag) needs a value")
            }
            return value
        }
        func number(_ flag: String, _ range: ClosedRange<Int>) throws(PracticeCloudError) -> Int {
            let value = try text(flag)
            guard let number = Int(value), range.contains(number) else {
                throw PracticeCloudError(
                    .configuration, "\(flag) \(value): a whole number in \(range.lowerBound)…\(range.upperBound)")
            }
            return number
        }
        func seconds(_ flag: String, _ range: ClosedRange<Double>) throws(PracticeCloudError) -> Double {
            let value = try text(flag)
            guard let number = Double(value), range.contains(number) else {
                throw PracticeCloudError(
                    .configuration, "\(flag) \(value): a number in \(range.lowerBound)…\(range.upperBound)")
            }
            return number
        }
        while let flag = rest.popFirst() {
            switch flag {
            case "--state-dir": options.stateDirectory = try text(flag)
            case "--port": options.firstPort = UInt16(try number(flag, 1_024...65_530))
            case "--config": try options.setStacks(try readConfiguration(try text(flag)))
            case "--stack": stack = try text(flag)
            case "--group": group.resource = try text(flag)
            case "--min": minimum = try number(flag, 0...100_000)
            case "--desired": desired = try number(flag, 0...100_000)
            case "--max": maximum = try number(flag, 1...100_000)
            case "--flavor": group.flavor = try text(flag)
            case "--pre-delete-hook": group.preDeleteHook = true
            case "--policies":
                group.policies = [
                    PolicyDefinition(resource: "scale_out", adjustment: 1, cooldown: .seconds(60)),
                    PolicyDefinition(resource: "scale_in", adjustment: -1, cooldown: .seconds(60)),
                ]
            case "--pace": options.pace = try seconds(flag, 0.001...1_000)
            case "--boot": options.boot = .seconds(try seconds(flag, 0...86_400))
            case "--token-lifetime": options.tokenLifetime = .seconds(try seconds(flag, 1...1_000_000))
            case "--kubernetes-minor": options.kubernetesMinor = try number(flag, 16...99)
            case "--transport-url": options.transportURL = try text(flag)
            case "--seed": options.seed = UInt64(try number(flag, 0...Int.max))
            default:
                throw PracticeCloudError(.configuration, "unknown option \(flag); --help lists them")
            }
        }
        guard !arguments.contains("--config") else { return options }
        guard options.settings.flavors.contains(where: { $0.name == group.flavor }) else {
            let names = options.settings.flavors.map(\.name).joined(separator: ", ")
            throw PracticeCloudError(.configuration, "--flavor \(group.flavor): one of \(names)")
        }
        group.minimum = minimum ?? min(group.minimum, desired ?? group.minimum)
        group.maximum = maximum ?? max(group.maximum, desired ?? 0, group.minimum)
        group.desired = desired ?? max(1, group.minimum)
        guard (group.minimum...max(group.minimum, group.maximum)).contains(group.desired),
            group.minimum <= group.maximum
        else { throw PracticeCloudError(.configuration, "--min ≤ --desired ≤ --max does not hold") }
        options.group = group
        if let stack { options.settings.stacks[0].name = stack }
        return options
    }

    private static func readConfiguration(_ path: String) throws(PracticeCloudError) -> JSONValue {
        guard let bytes = Files.read(path) else { throw PracticeCloudError(.file, "cannot read \(path)") }
        do {
            return try JSONValue.parse(bytes)["stacks"] ?? .null
        } catch {
            throw PracticeCloudError(.configuration, "\(path): \(error)")
        }
    }

    private static func writeState(
        _ cloud: PracticeCloud, _ options: PracticeCloudOptions
    ) throws(PracticeCloudError) -> String {
        let directory = try Files.directory(options.stateDirectory)
        let kubeconfig = "\(directory)/kubeconfig"
        let clouds = "\(directory)/clouds.yaml"
        try Files.write(Array(cloud.kubeconfig.utf8), to: kubeconfig)
        try Files.write(Array(cloud.cloudsYAML.utf8), to: clouds)
        var state = cloud.description(kubeconfig: kubeconfig, clouds: clouds)
        state["pid"] = .int(Int64(getpid()))
        // Last, and by renaming: who sees it finds the others in place.
        try Files.write(state.bytes + [0x0A], to: "\(directory)/practice.json")
        state["state"] = .string("\(directory)/practice.json")
        return state.text
    }

    private static func terminationSignal() async {
        let (signals, continuation) = AsyncStream.makeStream(of: Int32.self)
        let sources = [SIGTERM, SIGINT].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { @Sendable in continuation.yield(number) }
            source.resume()
            return source
        }
        for await _ in signals { break }
        for source in sources { source.cancel() }
    }

    private static func environment(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    private static func write(_ text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard written > 0 else { return }
            bytes = bytes.dropFirst(written)
        }
    }
}
