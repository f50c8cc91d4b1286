import Testing

@testable import UpdraftCommand

@Suite struct DemoOptionsTests {
    private func parse(_ arguments: String...) -> (DemoOptions?, complaint: String) {
        DemoOptions.parse(["--state", "/tmp/x", "--transport-url", "rabbit://h/"] + arguments) { _ in nil }
    }

    /// What is written into the state folder names files there, and a configuration takes relative names from its own folder.
    @Test func relativePathsAreMadeWhole() throws {
        let (options, _) = DemoOptions.parse(
            ["--state", "mine", "--transport-url-file", "mine/url"], absolute: { "/where/\($0)" }
        ) { $0 == "mine/url" ? "rabbit://h/\n" : nil }
        let read = try #require(options)
        #expect(read.state == "/where/mine")
        #expect(read.transportURLFile == "/where/mine/url")
        #expect(DemoFiles.absolute("/tmp/x") == "/tmp/x")
        #expect(DemoFiles.absolute("x").hasPrefix("/") && DemoFiles.absolute("x").hasSuffix("/x"))
    }

    @Test func replicasAreOneUnlessSaid() {
        #expect(parse().0?.replicas == 1)
        #expect(parse("--replicas", "2", "--kill", "actuator@nodeCordoned").0?.replicas == 2)
    }

    @Test(arguments: ["0", "6", "-1", "two", ""])
    func aWrongNumberOfReplicasIsRefusedWithTheBounds(text: String) {
        let (options, complaint) = parse("--replicas", text)
        #expect(options == nil)
        #expect(complaint.contains("1 to 5"), "\(complaint)")
    }

    @Test func aKillNamesServiceAndStep() {
        #expect(parse("--kill", "every@podsTold").0?.kills.count == 4)
        #expect(parse("--kill", "actuator@every").0?.kills.count == StoryStep.allCases.count)
        for wrong in ["actuator", "actuator@", "nobody@podsTold", "actuator@never"] {
            #expect(parse("--kill", wrong).complaint.contains(wrong))
        }
    }
}
