import Glibc
import Kubernetes

/// `updraft convert hpa FILE…`: PodScalers from HorizontalPodAutoscalers.
enum ConvertCommand {
    static let help = """
        usage: updraft convert hpa FILE…

        Prints a PodScaler (updraft.io/v1alpha1, YAML) for each HorizontalPodAutoscaler in the files: YAML documents, a List, or
        JSON; `-` is standard input. What has no counterpart is left out and told on standard error. Delete the
        HorizontalPodAutoscaler before you apply the scaler: until then it owns the target (docs/podscaler.md).

        Exit code: 0 if all were converted, 1 if one was not, or not whole (a metric was left out, or it will not scale),
        2 for wrong usage.
        """

    static func run(_ arguments: [String]) -> Int32 {
        if arguments.contains("--help") || arguments.contains("-h") {
            Terminal.line(help)
            return 0
        }
        let files = arguments.dropFirst()
        guard arguments.first == "hpa", !files.isEmpty,
            !files.contains(where: { $0.hasPrefix("-") && $0 != "-" })
        else {
            Terminal.complaint(help)
            return 2
        }
        var code: Int32 = 0
        var isFirst = true
        for file in files {
            guard let text = read(file) else {
                Terminal.complaint("\(file): cannot be read: \(String(cString: strerror(errno)))")
                code = 1
                continue
            }
            do throws(PodScalerMistake) {
                for one in try AutoscalerConversion.convert(text, file: file) {
                    for note in one.notes { Terminal.complaint("\(one.name): \(note)") }
                    if !one.isWhole { code = 1 }
                    guard let manifest = one.manifest else { continue }
                    Terminal.line((isFirst ? "" : "---\n") + manifest.dropLast())
                    isFirst = false
                }
            } catch {
                Terminal.complaint(error.description)
                code = 1
            }
        }
        return code
    }

    private static func read(_ path: String) -> String? {
        guard let file = fopen(path == "-" ? "/dev/stdin" : path, "re") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while bytes.count <= 8 << 20 {
            let count = fread(&piece, 1, piece.count, file)
            if count == 0 { break }
            bytes += piece[..<count]
        }
        return ferror(file) == 0 ? String(decoding: bytes, as: UTF8.self) : nil
    }
}
