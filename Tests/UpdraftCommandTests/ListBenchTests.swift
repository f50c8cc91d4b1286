import JSONReader
import Kubernetes
import Testing
import UpdraftCommand

@Suite("Benchmark of decoding lists")
struct ListBenchTests {
    @Test("it measures what it says: all pods decoded, none rejected")
    func measures() {
        let result = ListBench.run(pods: 200)
        #expect(result.pods == 200)
        #expect(result.bytes > 200 * 4_000)
        #expect(result.keptSeconds.isFinite && result.keptSeconds > 0)
        #expect(result.peakBytes > result.bytes)
        #expect(result.streamedSeconds.isFinite && result.streamedSeconds > 0)
    }
}
