@node
Feature: Clients of the ecosystem, which we did not write

  Scenario: CosmJS queries, pays, stakes and subscribes
    Given a network with 1 supplier
    When a script written with CosmJS uses the chain
    Then the script is content

  Scenario: A gRPC client without protos asks by reflection
    Given a network with 2 suppliers
    When a gRPC client lists the services by reflection and asks for a session
    Then the script is content
