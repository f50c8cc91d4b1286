import Testing
import YAML

@Suite struct YAMLTests {
    private func refusal(_ text: String) -> String? {
        do {
            _ = try YAML.parse(text, file: "f.yaml")
            return nil
        } catch { return error.description }
    }

    @Test func aTreeWithPositions() throws {
        let root = try YAML.parse(
            """
            # a comment
            cluster: prod
            groups:
            - id: workers
              max: 10
              labels: {zone: a, "quoted key": 'it''s'}
            text: |
              two
              lines
            """)
        #expect(root["cluster"]?.string == "prod")
        #expect(root["cluster"]?.line == 2)
        #expect(root["cluster"]?.column == 10)
        let group = try #require(root["groups"]?.items?.first)
        #expect(group["max"]?.int == 10)
        #expect(group["max"]?.line == 5)
        #expect(group["labels"]?["quoted key"]?.string == "it's")
        #expect(root["text"]?.string == "two\nlines")
        #expect(root.mapping?.entries.map(\.key) == ["cluster", "groups", "text"])
        #expect(root.mapping?.entries[1].keyPosition == YAMLPosition(line: 3, column: 1))
    }

    @Test func onlyPlainScalarsMeanSomething() throws {
        let root = try YAML.parse(
            """
            [true, "true", False, yes, 12, '12', -3, 0x1f, 1.5, 1e3, .5, ~, null, "", 1_000, inf, nan, !!str 12,
             99999999999999999999, "null"]
            """)
        let items = try #require(root.items)
        #expect(items.map(\.bool).prefix(4) == [true, nil, false, nil])
        #expect(items.map(\.int) == [nil, nil, nil, nil, 12, nil, -3, 31] + Array(repeating: nil, count: 12))
        #expect(items[8].double == 1.5 && items[9].double == 1000 && items[10].double == 0.5)
        #expect(items.map(\.isNull).enumerated().filter(\.element).map(\.offset) == [11, 12])
        #expect(items[4].string == "12" && items[5].string == "12" && items[11].string == nil)
        #expect(items[13].string == "" && items[19].string == "null")
        #expect(items[15].double == nil && items[16].double == nil && items[17].int == nil)
        #expect(items.map(\.kind).prefix(5) == ["a bool", "text", "a bool", "text", "a number"])
    }

    @Test func jsonIsYAML() throws {
        let root = try YAML.parse(#"{"a": [1, {"b": "\u00e9\n"}], "c": null}"#)
        #expect(root["a"]?.items?[1]["b"]?.string == "é\n")
        #expect(root["c"]?.isNull == true)
    }

    @Test(arguments: ["", "\n", "# nothing\n", "---\n", "--- ~\n...\n"])
    func nothingIsNull(_ text: String) throws {
        #expect(try YAML.parse(text).isNull)
    }

    @Test func whatIsRefusedIsNamedWithItsPlace() {
        #expect(refusal("a: 1\nb: 2\na: 3\n") == #"f.yaml:3:1: duplicate key "a": already on line 1"#)
        #expect(refusal("a: &x 1\nb: *x\n") == "f.yaml:2:4: aliases are not supported: write the value out")
        #expect(refusal("a: 1\n---\nb: 2\n") == "f.yaml:2:1: a second document: only one is allowed")
        #expect(refusal("? [a, b]\n: 1\n") == "f.yaml:1:3: a key must be text")
        #expect(
            refusal("a: !!python/object:os.system x\n")
                == #"f.yaml:1:4: the tag "tag:yaml.org,2002:python/object:os.system" is not supported"#)
        #expect(refusal("a:\n\t- b\n")?.hasPrefix("f.yaml:2:1: found character that cannot start any token") == true)
        #expect(refusal("a: [1, 2\nb: 3\n")?.hasPrefix("f.yaml:2:") == true)
        #expect(refusal("a: \"unterminated\n")?.hasPrefix("f.yaml:2:1: found unexpected end of stream") == true)
    }

    @Test func depthIsLimited() {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(refusal(nested(64)) == nil)
        #expect(refusal(nested(65)) == "f.yaml:1:65: nested deeper than 64 levels")
        #expect(refusal(String(repeating: "[", count: 1_000_000))?.contains("nested deeper") == true)
    }

    @Test func sizeIsLimited() {
        #expect(refusal(String(repeating: "#\n", count: 3 << 20)) == "f.yaml: larger than 4194304 bytes")
    }

    @Test func badBytesAreRefused() {
        for bytes: [UInt8] in [[0x61, 0x3a, 0x20, 0xff], [0x61, 0x00], [0x61, 0x01], [0xc3]] {
            #expect(throws: YAMLError.self) { try YAML.parse(bytes) }
        }
    }

    @Test func truncationAndNoiseOnlyThrow() throws {
        let text = Array("a: [1, {b: \"c\\n\"}]\nd: |\n  x\n'e': !!str &f 1\n".utf8)
        for count in 0...text.count { _ = try? YAML.parse(Array(text[..<count])) }
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<5_000 {
            var noise = text
            for _ in 0..<3 { noise[Int.random(in: 0..<noise.count, using: &generator)] = .random(in: 0...255) }
            _ = try? YAML.parse(noise)
        }
    }

    @Test func aMissingFileIsNamed() {
        let error = #expect(throws: YAMLError.self) { try YAML.load(file: "/nowhere/updraft.yaml") }
        #expect(error?.description == "/nowhere/updraft.yaml: cannot be read: No such file or directory")
    }

    @Test func aDirectoryIsNotAFile() {
        let error = #expect(throws: YAMLError.self) { try YAML.load(file: "/") }
        #expect(error?.description == "/: cannot be read: Is a directory")
    }
}
