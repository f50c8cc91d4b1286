import CRabbitMQ
import Support

/// Memory for the C structures of one call: text, tables and arrays copied here live until `recycle`.
struct WirePool: ~Copyable {
    private let pool: UnsafeMutablePointer<amqp_pool_t>

    init() {
        pool = .allocate(capacity: 1)
        pool.initialize(to: amqp_pool_t())
        init_amqp_pool(pool, 16_384)
    }

    deinit {
        empty_amqp_pool(pool)
        pool.deallocate()
    }

    /// Forgets everything handed out.
    func recycle() {
        recycle_amqp_pool(pool)
    }

    /// A copy of `text`.
    func bytes(_ text: String) -> amqp_bytes_t {
        var text = text
        return text.withUTF8 { copy($0) }
    }

    private func copy(_ source: UnsafeBufferPointer<UInt8>) -> amqp_bytes_t {
        guard let start = source.baseAddress, !source.isEmpty else { return amqp_bytes_t(len: 0, bytes: nil) }
        guard let memory = amqp_pool_alloc(pool, source.count) else { return amqp_bytes_t(len: 0, bytes: nil) }
        memory.copyMemory(from: start, byteCount: source.count)
        return amqp_bytes_t(len: source.count, bytes: memory)
    }

    /// A copy of `table`.
    func table(_ table: [String: AMQPValue]) -> amqp_table_t {
        let size = table.count * MemoryLayout<amqp_table_entry_t>.stride
        guard !table.isEmpty, let memory = amqp_pool_alloc(pool, size) else {
            return amqp_table_t(num_entries: 0, entries: nil)
        }
        let entries = memory.bindMemory(to: amqp_table_entry_t.self, capacity: table.count)
        var index = 0
        for (key, value) in table {
            (entries + index).initialize(to: amqp_table_entry_t(key: bytes(key), value: field(value)))
            index += 1
        }
        return amqp_table_t(num_entries: Int32(index), entries: entries)
    }

    private func field(_ value: AMQPValue) -> amqp_field_value_t {
        var field = amqp_field_value_t()
        func set(_ kind: amqp_field_value_kind_t) { field.kind = UInt8(truncatingIfNeeded: kind.rawValue) }
        switch value {
        case .null: set(AMQP_FIELD_KIND_VOID)
        case .bool(let flag):
            set(AMQP_FIELD_KIND_BOOLEAN)
            field.value.boolean = flag ? 1 : 0
        case .int(let number):
            set(AMQP_FIELD_KIND_I64)
            field.value.i64 = number
        case .double(let number):
            set(AMQP_FIELD_KIND_F64)
            field.value.f64 = number
        case .string(let text):
            set(AMQP_FIELD_KIND_UTF8)
            field.value.bytes = bytes(text)
        case .bytes(let bytes):
            set(AMQP_FIELD_KIND_BYTES)
            field.value.bytes = bytes.withUnsafeBufferPointer { copy($0) }
        case .timestamp(let seconds):
            set(AMQP_FIELD_KIND_TIMESTAMP)
            field.value.u64 = seconds
        case .array(let values):
            set(AMQP_FIELD_KIND_ARRAY)
            field.value.array = array(values)
        case .table(let nested):
            set(AMQP_FIELD_KIND_TABLE)
            field.value.table = table(nested)
        }
        return field
    }

    private func array(_ values: [AMQPValue]) -> amqp_array_t {
        let size = values.count * MemoryLayout<amqp_field_value_t>.stride
        guard !values.isEmpty, let memory = amqp_pool_alloc(pool, size) else {
            return amqp_array_t(num_entries: 0, entries: nil)
        }
        let entries = memory.bindMemory(to: amqp_field_value_t.self, capacity: values.count)
        for (index, value) in values.enumerated() { (entries + index).initialize(to: field(value)) }
        return amqp_array_t(num_entries: Int32(values.count), entries: entries)
    }

    /// The C form of `properties`; only what is set has its flag.
    func properties(_ properties: MessageProperties) -> amqp_basic_properties_t {
        var wire = amqp_basic_properties_t()
        func flag(_ bit: Int32) { wire._flags |= UInt32(bitPattern: bit) }
        flag(AMQP_BASIC_DELIVERY_MODE_FLAG)
        wire.delivery_mode = properties.persistent ? 2 : 1
        func text(_ value: String?, _ bit: Int32, _ field: WritableKeyPath<amqp_basic_properties_t, amqp_bytes_t>) {
            guard let value else { return }
            flag(bit)
            wire[keyPath: field] = bytes(value)
        }
        if let value = properties.contentType {
            flag(AMQP_BASIC_CONTENT_TYPE_FLAG)
            wire.content_type = bytes(value)
        }
        if let value = properties.contentEncoding {
            flag(AMQP_BASIC_CONTENT_ENCODING_FLAG)
            wire.content_encoding = bytes(value)
        }
        if let value = properties.messageID {
            flag(AMQP_BASIC_MESSAGE_ID_FLAG)
            wire.message_id = bytes(value)
        }
        if let priority = properties.priority {
            flag(AMQP_BASIC_PRIORITY_FLAG)
            wire.priority = priority
        }
        if let expiration = properties.expiration {
            flag(AMQP_BASIC_EXPIRATION_FLAG)
            wire.expiration = bytes(String(max(0, expiration.microseconds / 1_000)))
        }
        if let timestamp = properties.timestamp {
            flag(AMQP_BASIC_TIMESTAMP_FLAG)
            wire.timestamp = timestamp
        }
        if !properties.headers.isEmpty {
            flag(AMQP_BASIC_HEADERS_FLAG)
            wire.headers = table(properties.headers)
        }
        text(properties.correlationID, AMQP_BASIC_CORRELATION_ID_FLAG, \.correlation_id)
        text(properties.replyTo, AMQP_BASIC_REPLY_TO_FLAG, \.reply_to)
        text(properties.type, AMQP_BASIC_TYPE_FLAG, \.type)
        text(properties.applicationID, AMQP_BASIC_APP_ID_FLAG, \.app_id)
        return wire
    }
}

// MARK: - Reading

extension String {
    /// A copy of what the library points to; broken UTF-8 is repaired.
    init(wire bytes: amqp_bytes_t) {
        guard let start = bytes.bytes, bytes.len > 0 else {
            self = ""
            return
        }
        self.init(decoding: UnsafeRawBufferPointer(start: start, count: bytes.len), as: UTF8.self)
    }
}

extension AMQPValue {
    static func table(wire table: amqp_table_t, depth: Int = 0) -> [String: AMQPValue] {
        guard depth < maximumDepth, table.num_entries > 0, let entries = table.entries else { return [:] }
        var result: [String: AMQPValue] = [:]
        result.reserveCapacity(Int(table.num_entries))
        for index in 0..<Int(table.num_entries) {
            result[String(wire: entries[index].key)] = AMQPValue(wire: entries[index].value, depth: depth)
        }
        return result
    }

    init(wire field: amqp_field_value_t, depth: Int) {
        let kind = amqp_field_value_kind_t(rawValue: numericCast(field.kind))
        switch kind {
        case AMQP_FIELD_KIND_BOOLEAN: self = .bool(field.value.boolean != 0)
        case AMQP_FIELD_KIND_I8: self = .int(Int64(field.value.i8))
        case AMQP_FIELD_KIND_U8: self = .int(Int64(field.value.u8))
        case AMQP_FIELD_KIND_I16: self = .int(Int64(field.value.i16))
        case AMQP_FIELD_KIND_U16: self = .int(Int64(field.value.u16))
        case AMQP_FIELD_KIND_I32: self = .int(Int64(field.value.i32))
        case AMQP_FIELD_KIND_U32: self = .int(Int64(field.value.u32))
        case AMQP_FIELD_KIND_I64: self = .int(field.value.i64)
        case AMQP_FIELD_KIND_U64: self = .int(Int64(clamping: field.value.u64))
        case AMQP_FIELD_KIND_F32: self = .double(Double(field.value.f32))
        case AMQP_FIELD_KIND_F64: self = .double(field.value.f64)
        case AMQP_FIELD_KIND_TIMESTAMP: self = .timestamp(field.value.u64)
        case AMQP_FIELD_KIND_UTF8, AMQP_FIELD_KIND_BYTES:
            let source = UnsafeRawBufferPointer(start: field.value.bytes.bytes, count: field.value.bytes.len)
            if kind == AMQP_FIELD_KIND_UTF8, let text = String(validating: source, as: UTF8.self) {
                self = .string(text)
            } else {
                self = .bytes(Array(source))
            }
        case AMQP_FIELD_KIND_ARRAY:
            guard depth < Self.maximumDepth, let entries = field.value.array.entries else {
                self = .array([])
                return
            }
            self = .array(
                (0..<Int(max(0, field.value.array.num_entries))).map { AMQPValue(wire: entries[$0], depth: depth + 1) })
        case AMQP_FIELD_KIND_TABLE: self = .table(Self.table(wire: field.value.table, depth: depth + 1))
        default: self = .null
        }
    }
}

extension MessageProperties {
    /// A copy of what came with a content header.
    init(wire: amqp_basic_properties_t) {
        self.init()
        func has(_ bit: Int32) -> Bool { wire._flags & UInt32(bitPattern: bit) != 0 }
        persistent = has(AMQP_BASIC_DELIVERY_MODE_FLAG) && wire.delivery_mode == 2
        if has(AMQP_BASIC_CONTENT_TYPE_FLAG) { contentType = String(wire: wire.content_type) }
        if has(AMQP_BASIC_CONTENT_ENCODING_FLAG) { contentEncoding = String(wire: wire.content_encoding) }
        if has(AMQP_BASIC_HEADERS_FLAG) { headers = AMQPValue.table(wire: wire.headers) }
        if has(AMQP_BASIC_PRIORITY_FLAG) { priority = wire.priority }
        if has(AMQP_BASIC_CORRELATION_ID_FLAG) { correlationID = String(wire: wire.correlation_id) }
        if has(AMQP_BASIC_REPLY_TO_FLAG) { replyTo = String(wire: wire.reply_to) }
        if has(AMQP_BASIC_EXPIRATION_FLAG) {
            expiration = Int64(String(wire: wire.expiration)).map { .milliseconds(min(max(0, $0), 1 << 50)) }
        }
        if has(AMQP_BASIC_MESSAGE_ID_FLAG) { messageID = String(wire: wire.message_id) }
        if has(AMQP_BASIC_TIMESTAMP_FLAG) { timestamp = wire.timestamp }
        if has(AMQP_BASIC_TYPE_FLAG) { type = String(wire: wire.type) }
        if has(AMQP_BASIC_APP_ID_FLAG) { applicationID = String(wire: wire.app_id) }
    }
}
