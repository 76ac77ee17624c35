@node
Feature: A call over gRPC is a relay
  Server and client are grpc-js from npm; gRPC-Web is spoken by fetch.

  Scenario: Answers, statuses and metadata pass both ways, and every answer of the node is paid for
    Given a network whose backend is a gRPC server
    And every claim must be proved
    When a dApp calls over gRPC and gRPC-Web within one session
    Then the dApp is content
    And the supplier claims 10 relays of 100 compute units each
    And the claim is proved and settles 42000 upokt
