import Support
import Testing

@testable import Collector

/// What is read of a page depends on its lines and not on their order: neither on where labels are found again that a line before
/// had, nor on what stands between them.
@Suite("The order of a kubelet's lines")
struct KubeletOrderTests {
    /// Numbers from a seed (SplitMix64), so that a page that fails can be made again.
    private struct Seeded: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var word = state
            word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
            word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
            return word ^ (word >> 31)
        }
    }

    /// A page by lines: families of containers and of pods, some lines left out, some pods' lines with a container's label, some
    /// containers' without, and families that nobody reads.
    private func page(_ random: inout Seeded) -> [String] {
        var lines = ["node_cpu_usage_seconds_total 7.5 1000", "node_memory_working_set_bytes 1e9 1000"]
        let pods = Int.random(in: 1...6, using: &random)
        for family in [
            "container_cpu_usage_seconds_total", "container_memory_working_set_bytes", "container_start_time_seconds",
            "pod_cpu_usage_seconds_total", "pod_memory_working_set_bytes", "pod_swap_usage_bytes",
        ] {
            for pod in 0..<pods {
                for container in 0..<(family.hasPrefix("pod") ? 1 : pod % 3 + 1) {
                    if Int.random(in: 0..<12, using: &random) == 0 { continue }
                    let name = "namespace=\"n\(pod % 2)\",pod=\"pod-\(pod)\""
                    let isOdd = Int.random(in: 0..<10, using: &random) == 0
                    let labels = family.hasPrefix("pod") == isOdd ? "container=\"c\(container)\",\(name)" : name
                    // A value is known by its line: the order of two of the same would matter.
                    let value = "\(family.utf8.count)\(pod)\(container).25"
                    lines.append("\(family){\(labels)} \(value) 1000")
                }
            }
        }
        return lines
    }

    /// What it says, in an order of its own. Of what says something twice the last counts, so a pod's line with a container's label
    /// has the same value as the one without.
    private func told(_ lines: [String]) -> [String] {
        let text = lines.joined(separator: "\n") + "\n"
        let reading = KubeletReading.lines(Array(text.utf8), isCadvisor: false)
        var told = ["node \(reading.node)", "rejected \(reading.rejected.summary)"]
        for pod in reading.pods {
            let pods = "\(pod.key.namespace)/\(pod.key.name)"
            // The sum of containers has the time of one of them; all are the same here.
            told.append("\(pods) \(pod.use) \(pod.isSum)")
            told += pod.containers.map { "\(pods)/\($0.name) \($0.use)" }
        }
        return told.sorted()
    }

    @Test("a thousand pages, each in the kubelet's order and in ten others, say the same")
    func anyOrder() {
        for seed in UInt64(0)..<1_000 {
            var random = Seeded(state: seed)
            let lines = page(&random)
            let ordered = told(lines)
            for _ in 0..<10 {
                let shuffled = lines.shuffled(using: &random)
                guard told(shuffled) == ordered else {
                    Issue.record("seed \(seed): \(shuffled)\n\(told(shuffled))\nin the kubelet's order:\n\(ordered)")
                    return
                }
            }
        }
    }

    @Test("labels that are expected and differ in one byte are another pod's")
    func almostTheSame() throws {
        func line(_ family: String, _ pod: String, _ value: String) -> String {
            "\(family){container=\"c\",namespace=\"n\",pod=\"\(pod)\"} \(value)\n"
        }
        let cpu = "container_cpu_usage_seconds_total"
        let memory = "container_memory_working_set_bytes"
        let text =
            line(cpu, "a1", "1") + line(cpu, "a2", "2") + line(memory, "a1", "10") + line(memory, "a3", "30")
            + line(memory, "a2", "20")
        let reading = KubeletReading.lines(Array(text.utf8), isCadvisor: false)
        #expect(reading["n", "a1"]?.containers.first?.use.memoryBytes == 10)
        #expect(reading["n", "a2"]?.containers.first?.use.memoryBytes == 20)
        #expect(reading["n", "a3"]?.containers.first?.use.memoryBytes == 30)
        #expect(reading["n", "a3"]?.containers.first?.use.cpuSeconds == nil)
    }

    @Test("a family that ends early does not lend its next labels to another")
    func endsEarly() throws {
        let text = """
            container_cpu_usage_seconds_total{container="c",namespace="n",pod="a"} 1
            container_cpu_usage_seconds_total{container="c",namespace="n",pod="b"} 2
            container_memory_working_set_bytes{container="c",namespace="n",pod="a"} 10
            container_start_time_seconds{container="c",namespace="n",pod="b"} 1.7954700241170002e+09
            pod_memory_working_set_bytes{container="c",namespace="n",pod="b"} 200
            pod_memory_working_set_bytes{namespace="n",pod="a"} 100

            """
        let reading = KubeletReading.lines(Array(text.utf8), isCadvisor: false)
        #expect(reading["n", "a"]?.use.memoryBytes == 100)
        #expect(reading["n", "b"]?.use.memoryBytes == 200)
        #expect(reading["n", "b"]?.containers.first?.use.memoryBytes == nil)
        #expect(reading.rejected.isEmpty)
    }

    @Test(
        "a number that needs more than two exact ones is the library's, to the last bit",
        arguments: [
            "12345.678901234567", "1.7954700241170002e+09", "900719925474.09931", "0.1234567890123456789",
            "2.5e-30", "+7.25", "1.0E+3",
        ])
    func longNumbers(_ number: String) throws {
        let reading = KubeletReading.lines(Array("node_cpu_usage_seconds_total \(number)\n".utf8), isCadvisor: false)
        #expect(reading.node.cpuSeconds == Double(number) && Double(number) != nil)
    }

    @Test("names that end or begin within eight bytes, quotes behind backslashes, and lines that end within a value")
    func quotes() throws {
        for length in 1...40 {
            let pod = String(repeating: "p", count: length)
            let good = "pod_memory_working_set_bytes{x=\"\\\"\\\\\",namespace=\"n\",pod=\"\(pod)\"} 5\n"
            let reading = KubeletReading.lines(Array(good.utf8), isCadvisor: false)
            #expect(reading["n", pod]?.use.memoryBytes == 5, "\(length)")
            for cut in ["pod_memory_working_set_bytes{pod=\"\(pod)\n", "pod_memory_working_set_bytes{pod=\"\(pod)\\\n"]
            {
                let broken = KubeletReading.lines(Array((cut + good).utf8), isCadvisor: false)
                #expect(broken.rejected == [.malformedLine: 1], "\(length)")
                #expect(broken["n", pod]?.use.memoryBytes == 5, "\(length)")
            }
        }
    }
}
