import Glibc
import JSONReader
import TestServer
import Testing

@testable import Decider

/// Runs every file of `Scenarios` and compares with what it expects.
@Suite("Scenarios")
struct ScenarioTests {
    static let folder = String(#filePath.dropLast("Core/ScenarioTests.swift".count)) + "Scenarios"

    static let files: [String] = {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasSuffix(".json") { names.append(name) }
        }
        return names.sorted()
    }()

    static func bytes(_ path: String) -> [UInt8] {
        guard let file = fopen(path, "r") else { return [] }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&piece, 1, piece.count, file)
            if count == 0 { return bytes }
            bytes += piece[..<count]
        }
    }

    @Test("All of them are there")
    func complete() {
        let own = Self.files.filter { $0.hasPrefix("own-") }
        #expect(Self.files.count - own.count == 108)
        // Rules of the peer that no file of the collection reaches.
        #expect(own.count == 72)
    }

    @Test("The engine's answer is the expected one", arguments: files)
    func answer(file: String) throws {
        let bytes = Self.bytes("\(Self.folder)/\(file)")
        try Self.compare(try Scenario(bytes).answer(), try JSONValue.parse(bytes))
    }

    @Test("The command answers all files in one run, a line each, in their order")
    func command() throws {
        let lines = try Program.output("updraft", ["simulate"] + Self.files.map { "\(Self.folder)/\($0)" })
        try #require(lines.count == Self.files.count)
        for (file, line) in zip(Self.files, lines) {
            let answer = try JSONValue.parse(Array(line.utf8))
            #expect(answer["name"]?.stringValue == String(file.dropLast(".json".count)))
            try Self.compare(answer, try JSONValue.parse(Self.bytes("\(Self.folder)/\(file)")))
        }
    }

    private static func compare(_ answer: JSONValue, _ document: JSONValue) throws {
        let name = answer["name"]?.stringValue ?? ""
        let result = try #require(answer["result"], "\(name): \(answer["unsupported"]?.stringValue ?? "")")
        let expected = document["expect"] ?? .null
        if let steps = document["steps"]?.arrayValue ?? expected["steps"]?.arrayValue {
            let got = result["steps"]?.arrayValue ?? []
            try #require(got.count == steps.count)
            for (index, step) in steps.enumerated() {
                let wanted = step["expect"] ?? Comparison.expectation(of: step)
                let differences = Comparison.differences(wanted, got[index])
                #expect(differences.isEmpty, "\(name), step \(index): \(differences.joined(separator: "; "))")
            }
        } else {
            let differences = Comparison.differences(expected, result)
            #expect(differences.isEmpty, "\(name): \(differences.joined(separator: "; "))")
        }
    }

    @Test("A key that the result lacks is a difference, also where null is expected")
    func missingKey() {
        #expect(Comparison.differences(["best": nil], ["best": nil]).isEmpty)
        #expect(Comparison.differences(["best": nil], [:]) == ["best: expected null, got nothing"])
        #expect(Comparison.differences(["best": nil], ["best": "a"]) == [#"best: expected null, got "a""#])
    }

    @Test("What is no scenario is refused with the reason")
    func malformed() {
        for text in ["", "{", "[]", "{}", #"{"name":"x","kind":"drain","schema":2}"#] {
            #expect(throws: DeciderError.self) { try Scenario(Array(text.utf8)) }
        }
        let unknown = try? Scenario(Array(#"{"name":"x","kind":"weather"}"#.utf8)).answer()
        #expect(unknown?["unsupported"]?.stringValue == "kind weather is not known")
    }
}

/// Compares as docs/scenarios.md says: order of lists and zero counts do not matter.
enum Comparison {
    private static let notCompared: Set<String> = ["reasonContains", "code", "class", "tolerance", "notes"]
    private static let counts: Set<String> = ["scaleUp", "upcoming", "newSizes", "empty", "drain"]

    static func expectation(of step: JSONValue) -> JSONValue {
        var step = step
        for input in ["atSeconds", "registered", "unregistered", "after"] { step[input] = nil }
        return step
    }

    static func differences(_ expected: JSONValue, _ result: JSONValue) -> [String] {
        let tolerance = expected["tolerance"]?.doubleValue ?? 1e-9
        var found: [String] = []
        for (key, want) in expected.objectValue ?? [:] where !notCompared.contains(key) && key != "steps" {
            if key == "newSizesAnyOrder" {
                let sizes = (want["groups"]?.arrayValue ?? []).compactMap { group in
                    result["newSizes"]?[group.stringValue ?? ""]?.intValue
                }
                let wanted = (want["sizes"]?.arrayValue ?? []).compactMap(\.intValue)
                if sizes.sorted() != wanted.sorted() { found.append("\(key): \(sizes)") }
            } else if !(result[key].map { same(key, want, $0, tolerance) } ?? false) {
                // A key that is missing is no null: whoever reads the result would not find it.
                found.append("\(key): expected \(want.text), got \(result[key]?.text ?? "nothing")")
            }
        }
        return found
    }

    private static func same(_ key: String, _ want: JSONValue, _ got: JSONValue, _ tolerance: Double) -> Bool {
        if let left = want.doubleValue, let right = got.doubleValue { return abs(left - right) <= tolerance }
        if counts.contains(key), let left = want.objectValue, let right = got.objectValue {
            return left.filter { $0.value != 0 } == right.filter { $0.value != 0 }
        }
        if let left = want.arrayValue, let right = got.arrayValue {
            if left.allSatisfy({ $0.objectValue == nil && $0.arrayValue == nil }) {
                return left.map(\.text).sorted() == right.map(\.text).sorted()
            }
            return left.count == right.count && zip(left, right).allSatisfy { same(key, $0, $1, tolerance) }
        }
        if let left = want.objectValue {
            return left.allSatisfy { item in
                notCompared.contains(item.key)
                    || got[item.key].map { same(item.key, item.value, $0, tolerance) } ?? false
            }
        }
        return want == got
    }
}
