import JSONReader
import Support

/// What Nova puts on the bus (docs/openstack/nova.md §4), in both formats: what Updraft reads, and the kind that carries a
/// user's token, so that one can see that it goes nowhere.
extension PracticeModel {
    /// Stands where a live token is in the real ones.
    static let tokenInNotifications = "gAAAAA-a-token-that-must-not-be-seen"

    mutating func notify(_ event: NovaModel.Event) {
        switch event {
        case .created(let server):
            sendWithToken(server)
        case .becameActive(let server):
            send("instance.create.end", server, state: "active", task: nil)
        case .failed(let server):
            update(server, from: "active", to: server.status == "ERROR" ? "error" : "stopped")
        case .deleted(let server):
            send("instance.delete.start", server, state: "active", task: "deleting")
            send("instance.shutdown.start", server, state: "active", task: "deleting")
            send("instance.shutdown.end", server, state: "active", task: "deleting")
            update(server, from: "active", to: "deleted")
            send("instance.delete.end", server, state: "deleted", task: nil)
        }
    }

    private mutating func send(_ type: String, _ server: NovaModel.Server, state: String, task: String?) {
        var plain = payload(server, id: "instance_id")
        plain["state"] = .string(state)
        plain["state_description"] = .string(task ?? "")
        unversioned("compute.\(type)", plain)
        var data = payload(server, id: "uuid")
        data["state"] = .string(state)
        data["task_state"] = task.map { .string($0) } ?? .null
        versioned(type, "InstanceActionPayload", data)
    }

    private mutating func update(_ server: NovaModel.Server, from old: String, to new: String) {
        var plain = payload(server, id: "instance_id")
        for (key, value) in [("old_state", old), ("state", new)] { plain[key] = .string(value) }
        for key in ["old_task_state", "new_task_state"] { plain[key] = .null }
        unversioned("compute.instance.update", plain)
        var data = payload(server, id: "uuid")
        data["state"] = .string(new)
        data["task_state"] = .null
        data["state_update"] = [
            "nova_object.name": "InstanceStateUpdatePayload", "nova_object.namespace": "nova",
            "nova_object.data": [
                "old_state": .string(old), "state": .string(new), "old_task_state": nil, "new_task_state": nil,
            ],
        ]
        versioned("instance.update", "InstanceUpdatePayload", data)
    }

    private mutating func sendWithToken(_ server: NovaModel.Server) {
        let specification: JSONValue = [
            "instance_properties": [
                "uuid": .string(server.id),
                "pci_requests": ["_context": ["auth_token": .string(PracticeModel.tokenInNotifications)]],
            ]
        ]
        unversioned("scheduler.select_destinations.start", ["request_spec": specification])
    }

    private func payload(_ server: NovaModel.Server, id: String) -> JSONValue {
        [
            "tenant_id": .string(keystone.projectID), "user_id": .string(keystone.users.first?.id ?? ""),
            id: .string(server.id), "display_name": .string(server.name), "metadata": .strings(server.metadata),
        ]
    }

    private mutating func unversioned(_ type: String, _ payload: JSONValue) {
        send(
            fromNova: "notifications.info",
            osloEnvelope(type, publisher: "compute.practice", isError: false, payload))
    }

    private mutating func versioned(_ type: String, _ name: String, _ data: JSONValue) {
        let payload: JSONValue = [
            "nova_object.name": .string(name), "nova_object.namespace": "nova", "nova_object.version": "1.8",
            "nova_object.data": data,
        ]
        send(
            fromNova: "versioned_notifications.info",
            osloEnvelope(type, publisher: "nova-compute:practice", isError: false, payload))
    }
}
