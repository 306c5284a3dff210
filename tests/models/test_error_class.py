"""The error classes are a closed set, the same in code and in the contract."""

from infin8.workflow.v1 import errors_pb2
from workflow_service.domain.error_class import ErrorClass


def test_code_and_contract_name_the_same_classes() -> None:
    """Every class of the code is in the contract, and the contract has no other."""
    told = {name.removeprefix("ERROR_CLASS_") for name in errors_pb2.ErrorClass.DESCRIPTOR.values_by_name}
    assert told - {"UNSPECIFIED"} == {error_class.value for error_class in ErrorClass}
