import JSONReader
import Testing

/// What a reader makes of one value, or its error.
private func read<Value>(
    _ text: String, _ body: (inout JSONReader) throws(JSONError) -> Value
) throws(JSONError) -> Value {
    try JSONReader.read(Array(text.utf8), body)
}

private func code<Value>(
    of text: String, _ body: (inout JSONReader) throws(JSONError) -> Value
) -> JSONError.Code? {
    do throws(JSONError) {
        _ = try read(text, body)
        return nil
    } catch {
        return error.code
    }
}

@Suite("Pull reader")
struct JSONReaderTests {
    private struct Pod: Equatable {
        var name = ""
        var labels: [String: String] = [:]
        var ports: [Int64] = []
        var ready = false
    }

    private func pod(_ reader: inout JSONReader) throws(JSONError) -> Pod {
        var pod = Pod()
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "name": pod.name = try reader.string()
            case "labels": pod.labels = try reader.strings()
            case "ports": try reader.array { (reader) throws(JSONError) in pod.ports.append(try reader.int()) }
            case "ready": pod.ready = try reader.bool()
            default: try reader.skip()
            }
        }
        return pod
    }

    @Test("walks an object, skips what it does not want")
    func walk() throws {
        let text = """
            { "junk": {"a": ["}", "\\"]", {}], "b": -1.5e3}, "name": "web-1", "labels": {"app": "web", "tier": ""},
              "ports" : [ 80 , 443 ],"unknown":[[],[[]]], "ready":true, "last": null }
            """
        let pod = try read(text, pod)
        #expect(pod == Pod(name: "web-1", labels: ["app": "web", "tier": ""], ports: [80, 443], ready: true))
    }

    @Test("a value that nobody reads is skipped")
    func unread() throws {
        var keys: [String] = []
        try read(#"{"a":{"x":[1,2]},"b":"two","c":[{}]}"#) { (reader) throws(JSONError) in
            try reader.object { (_, key) throws(JSONError) in keys.append(key.text) }
        }
        #expect(keys == ["a", "b", "c"])
        var count = 0
        try read(#"[1,"two",{"three":3}]"#) { (reader) throws(JSONError) in
            try reader.array { (_) throws(JSONError) in count += 1 }
        }
        #expect(count == 3)
    }

    @Test("strings: escapes, surrogate pairs, long ones across the eight-byte steps")
    func strings() throws {
        #expect(
            try read(#""a\"b\\c\/d\b\f\n\r\t\u00e9\uD83D\uDE00""#) { (r) throws(JSONError) in try r.string() }
                == "a\"b\\c/d\u{8}\u{c}\n\r\té😀")
        for length in 0..<40 {
            let text = String(repeating: "x", count: length)
            #expect(try read("\"\(text)\"") { (r) throws(JSONError) in try r.string() } == text)
            #expect(try read("\"\(text)\\n\(text)\"") { (r) throws(JSONError) in try r.string() } == "\(text)\n\(text)")
        }
    }

    @Test(
        "bad strings are refused",
        arguments: [
            #""\uD83D""#, #""\uDE00""#, #""\uD83Dx""#, #""\uD83D\u0041""#, #""\x""#, #""\u12G4""#, "\"a\u{1}b\"",
            "\"12345678\n\"",
        ])
    func badStrings(text: String) {
        #expect(code(of: text) { (r) throws(JSONError) in try r.string() } == .badString)
    }

    @Test("text that is no UTF-8 is refused, at its place")
    func badUTF8() {
        let bytes: [UInt8] = Array(#"["ok",""#.utf8) + [0xC3, 0x28] + Array(#""]"#.utf8)
        let error = #expect(throws: JSONError.self) {
            try JSONReader.read(bytes) { (reader) throws(JSONError) in try reader.stringArray() }
        }
        #expect(error?.code == .badString)
        #expect(error?.offset == 7)
    }

    @Test("a byte that is no UTF-8 is found wherever it stands; proper text passes wherever it stands")
    func everyPlace() throws {
        for before in 0..<20 {
            for after in 0..<12 {
                let (head, tail) = (String(repeating: "a", count: before), String(repeating: "b", count: after))
                let proper = head + "é" + tail
                #expect(try read("\"\(proper)\"") { (r) throws(JSONError) in try r.string() } == proper)
                let bytes = Array("\"\(head)".utf8) + [0xFF] + Array("\(tail)\"".utf8)
                let error = #expect(throws: JSONError.self) {
                    try JSONReader.read(bytes) { (reader) throws(JSONError) in try reader.string() }
                }
                #expect(error?.code == .badString)
            }
        }
    }

    @Test("whole numbers to the edge of 64 bits and not beyond")
    func integers() throws {
        let int = { (reader: inout JSONReader) throws(JSONError) -> Int64 in try reader.int() }
        #expect(try read("0", int) == 0)
        #expect(try read("-17", int) == -17)
        #expect(try read("9223372036854775807", int) == .max)
        #expect(try read("-9223372036854775808", int) == .min)
        for text in ["9223372036854775808", "-9223372036854775809", "99999999999999999999", "1.0", "1e3", "01"] {
            #expect(code(of: text, int) == .badNumber, "\(text)")
        }
        #expect(code(of: "-", int) == .truncated)
        #expect(code(of: "\"1\"", int) == .unexpected)
    }

    @Test(
        "numbers are rounded as the standard library rounds them",
        arguments: [
            "0", "-0.0", "1", "0.1", "3.14159", "1e22", "1.7976931348623157e308", "5e-324",
            "123456789012345678901234567890",
            "0.000000000000000000000000001", "9007199254740993", "4503599627370497.5", "-2.5E+3",
            "1542.384000000000000000",
        ])
    func doubles(text: String) throws {
        let value = try read(text) { (reader) throws(JSONError) in try reader.double() }
        #expect(value == Double(text))
    }

    @Test("bad numbers are refused", arguments: ["1e999", "1.", "1e", ".5", "+1", "00", "NaN", "-x", "1.e1"])
    func badDoubles(text: String) {
        #expect(code(of: text) { (reader) throws(JSONError) in try reader.double() } != nil)
    }

    @Test("null, kinds and raw values")
    func others() throws {
        try read(#"{"a":null,"b": {"x": [1, "]"]} ,"c":"\u0041"}"#) { (reader) throws(JSONError) in
            try reader.object { (reader, key) throws(JSONError) in
                switch key {
                case "a":
                    #expect(try reader.kind() == .null)
                    #expect(try reader.stringOrNull() == nil)
                case "b":
                    #expect(try reader.isNull() == false)
                    #expect(try reader.kind() == .object)
                    #expect(String(decoding: try reader.rawValue(), as: UTF8.self) == #"{"x": [1, "]"]}"#)
                default:
                    let word = try reader.word()
                    #expect(word.text == "A")
                    // As documented: written with an escape it does not match.
                    #expect(!(word == "A"))
                }
            }
        }
    }

    @Test("nesting is bounded, read or skipped")
    func depth() {
        let deep = String(repeating: "[", count: 200) + String(repeating: "]", count: 200)
        #expect(code(of: deep) { (r) throws(JSONError) in try r.value() } == .tooDeep)
        #expect(code(of: deep) { (r) throws(JSONError) in try r.skip() } == .tooDeep)
        let million = String(repeating: "{\"a\":", count: 1_000_000)
        #expect(code(of: million) { (r) throws(JSONError) in try r.value() } == .tooDeep)
        #expect(code(of: million) { (r) throws(JSONError) in try r.skip() } == .tooDeep)
    }

    @Test(
        "grammar mistakes are named with their place",
        arguments: [
            ("{\"a\" 1}", 5), ("{\"a\":1 \"b\":2}", 7), ("[1 2]", 3), ("{1:2}", 1), ("[1,]", 3), ("{\"a\":}", 5),
            ("[1]x", 3),
            ("{\"a\":1,}", 7), ("tru ", 0), ("\u{1}", 0),
        ])
    func mistakes(text: String, offset: Int) {
        let error = #expect(throws: JSONError.self) {
            try read(text) { (reader) throws(JSONError) in try reader.value() }
        }
        #expect(error?.code == .unexpected)
        #expect(error?.offset == offset, "\(text)")
        #expect(error?.isRetriable == false)
    }

    @Test("nothing at all is a document cut off")
    func empty() {
        #expect(code(of: "") { (r) throws(JSONError) in try r.value() } == .truncated)
        #expect(code(of: "  ") { (r) throws(JSONError) in try r.skip() } == .truncated)
    }
}

@Suite("Values and writer")
struct JSONValueTests {
    @Test("a value survives being written and read")
    func roundTrip() throws {
        let value: JSONValue = [
            "name": "a \"quoted\" \\ line\n\u{1}", "count": 3, "ratio": 0.25, "on": true, "none": nil,
            "list": [1, "two", ["x": []], .int(.min)], "emoji": "😀",
        ]
        #expect(try JSONValue.parse(value.bytes) == value)
        #expect(value.text.hasPrefix(#"{"count":3,"emoji":"😀","list":[1,"two",{"x":[]},-9223372036854775808],"name":"#))
    }

    @Test("subscripts reach in and give nil where nothing is")
    func subscripts() throws {
        var value = try JSONValue.parse(#"{"a":{"b":[10,2.0,true]},"s":"x"}"#)
        #expect(value[path: "a", "b"]?[0]?.intValue == 10)
        #expect(value["a"]?["b"]?[1]?.intValue == 2)
        #expect(value["a"]?["b"]?[2]?.boolValue == true)
        #expect(value["a"]?["b"]?[3] == nil)
        #expect(value["s"]?["x"] == nil)
        #expect(value["s"]?.doubleValue == nil)
        value["a"]?["b"] = "new"
        value["s"] = nil
        #expect(value == ["a": ["b": "new"]])
    }

    @Test("a repeated key: the last counts")
    func repeated() throws {
        #expect(try JSONValue.parse(#"{"a":1,"a":2}"#) == ["a": 2])
    }

    @Test("the writer sets commas and has no word for NaN")
    func writer() {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("a", 1)
            writer.key("b")
            writer.array { writer in
                writer.double(.nan)
                writer.object { _ in }
                writer.raw("[7]".utf8)
                writer.double(0.5)
            }
            writer.member("c", ["z": "1", "y": "2"])
            writer.member("d", false)
        }
        #expect(
            String(decoding: writer.bytes, as: UTF8.self)
                == #"{"a":1,"b":[null,{},[7],0.5],"c":{"y":"2","z":"1"},"d":false}"#)
    }
}
