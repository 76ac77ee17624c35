@node
Feature: Clients of the ecosystem, which we did not write

  Scenario: A gRPC client without protos asks by reflection
    Given a network with 2 suppliers
    When a gRPC client lists the services by reflection and asks for a session
    Then the script is content
