import JSONReader

/// Whether a stack has something that holds the deletion of a group's members:
/// docs/openstack/heat.md §6, docs/openstack/nova.md §3.
public enum HoldCapability {
    /// On which resources inside the members of a group the environment puts a `pre-delete` hook: names, or patterns of
    /// names, in order. Whether members have such a resource their template says.
    /// - Parameters:
    ///   - environment: of the main stack.
    ///   - group: the group's resource name.
    public static func hooked(_ environment: JSONValue, group: String) -> [String] {
        var hooked: Set<String> = []
        for (pattern, members) in environment["resource_registry"]?["resources"]?.objectValue ?? [:]
        where matches(group, pattern) {
            for member in (members.objectValue ?? [:]).values {
                for (resource, value) in member.objectValue ?? [:] where names(value["hooks"], "pre-delete") {
                    hooked.insert(resource)
                }
            }
        }
        return hooked.sorted()
    }

    /// Whether the environment puts a `pre-delete` hook on a resource that the members of a group have. One on a name that
    /// none of their resources has never fires.
    /// - Parameters:
    ///   - environment: of the main stack.
    ///   - group: the group's resource name.
    ///   - memberTemplate: of the group's members.
    public static func hasHook(_ environment: JSONValue, group: String, memberTemplate: JSONValue) -> Bool {
        let there = resourceNames(memberTemplate)
        return hooked(environment, group: group).contains { pattern in there.contains { matches($0, pattern) } }
    }

    /// The names of the resources of a template, in order.
    public static func resourceNames(_ template: JSONValue) -> [String] {
        resources(template).keys.sorted()
    }

    /// HOT's `resources`, or the `Resources` of the older cfn format.
    private static func resources(_ template: JSONValue) -> [String: JSONValue] {
        template["resources"]?.objectValue ?? template["Resources"]?.objectValue ?? [:]
    }

    /// Resources that wait for a signal when they are deleted, if their actions say so.
    static let deploymentTypes: Set<String> = ["OS::Heat::SoftwareDeployment", "OS::Heat::StructuredDeployment"]

    /// Whether the template of a member has a software deployment that waits when the member is deleted.
    public static func hasDeployment(_ memberTemplate: JSONValue) -> Bool {
        resources(memberTemplate).values.contains { resource in
            let type = (resource["type"] ?? resource["Type"])?.stringValue ?? ""
            let properties = resource["properties"] ?? resource["Properties"]
            return deploymentTypes.contains(type)
                && names(properties?["actions"], "DELETE")
                // Without a signal it does not wait.
                && properties?["signal_transport"]?.stringValue != "NO_SIGNAL"
        }
    }

    private static func names(_ value: JSONValue?, _ word: String) -> Bool {
        value?.stringValue == word || (value?.arrayValue ?? []).contains { $0.stringValue == word }
    }

    /// Heat's patterns: `*` stands for any text.
    private static func matches(_ name: String, _ pattern: String) -> Bool {
        let parts = pattern.split(separator: "*", omittingEmptySubsequences: false).map(String.init)
        guard parts.count > 1, let first = parts.first, let last = parts.last else { return name == pattern }
        guard name.hasPrefix(first), name.hasSuffix(last), name.utf8.count >= first.utf8.count + last.utf8.count else {
            return false
        }
        var rest = name.dropFirst(first.count).dropLast(last.count)
        for part in parts.dropFirst().dropLast() where !part.isEmpty {
            guard let found = rest.firstRange(of: part) else { return false }
            rest = rest[found.upperBound...]
        }
        return true
    }
}
