import FoundationEssentials
import Messages
import Testing

@Suite("Amounts that no machine has")
struct AmountTests {
    @Test(
        "eight exabytes are taken for the most that counts, so that a hundred thousand of them can be added; less than none for none"
    )
    func huge() throws {
        let text =
            #"{"cpuMillis":9000000000000000000,"memoryBytes":8000000000000000000,"pods":-3,"extended":{"a/b":1000000000000000000,"c/d":-1}}"#
        let list = try JSONDecoder().decode(ResourceList.self, from: Data(text.utf8))
        #expect(list.cpuMillis == ResourceList.most && list.memoryBytes == ResourceList.most && list.pods == 0)
        #expect(list.extended == ["a/b": ResourceList.most, "c/d": 0])
        #expect(!list.memoryBytes.multipliedReportingOverflow(by: 100_000).overflow)
    }
}
