"""Amazon SNS: the 42 operations of API version 2010-03-31."""

from api.operation import Dialect, operation, service
from api.sns.data_protection import get_data_protection_policy, put_data_protection_policy
from api.sns.permissions import add_permission, remove_permission
from api.sns.platform import (
    create_platform_application,
    create_platform_endpoint,
    delete_endpoint,
    delete_platform_application,
    get_endpoint_attributes,
    get_platform_application_attributes,
    list_endpoints_by_platform_application,
    list_platform_applications,
    set_endpoint_attributes,
    set_platform_application_attributes,
)
from api.sns.publishing import publish, publish_batch
from api.sns.refusals import shape_refusal
from api.sns.sms import (
    check_if_phone_number_is_opted_out,
    create_sms_sandbox_phone_number,
    delete_sms_sandbox_phone_number,
    get_sms_attributes,
    get_sms_sandbox_account_status,
    list_origination_numbers,
    list_phone_numbers_opted_out,
    list_sms_sandbox_phone_numbers,
    opt_in_phone_number,
    set_sms_attributes,
    verify_sms_sandbox_phone_number,
)
from api.sns.subscriptions import (
    confirm_subscription,
    get_subscription_attributes,
    list_subscriptions,
    list_subscriptions_by_topic,
    set_subscription_attributes,
    subscribe,
    unsubscribe,
)
from api.sns.tags import list_tags_for_resource, tag_resource, untag_resource
from api.sns.topics import (
    create_topic,
    delete_topic,
    get_topic_attributes,
    list_topics,
    set_topic_attributes,
)

_VERSION = "2010-03-31"

SNS = service(
    "sns",
    [
        operation(create_topic),
        operation(delete_topic),
        operation(get_topic_attributes),
        operation(set_topic_attributes),
        operation(list_topics),
        operation(subscribe),
        operation(confirm_subscription),
        operation(unsubscribe),
        operation(get_subscription_attributes),
        operation(set_subscription_attributes),
        operation(list_subscriptions),
        operation(list_subscriptions_by_topic),
        operation(publish),
        operation(publish_batch),
        operation(tag_resource),
        operation(untag_resource),
        operation(list_tags_for_resource),
        operation(add_permission),
        operation(remove_permission),
        operation(put_data_protection_policy),
        operation(get_data_protection_policy),
        operation(create_platform_application),
        operation(delete_platform_application),
        operation(get_platform_application_attributes),
        operation(set_platform_application_attributes),
        operation(list_platform_applications),
        operation(create_platform_endpoint),
        operation(delete_endpoint),
        operation(get_endpoint_attributes),
        operation(set_endpoint_attributes),
        operation(list_endpoints_by_platform_application),
        operation(set_sms_attributes, name="SetSMSAttributes"),
        operation(get_sms_attributes, name="GetSMSAttributes"),
        operation(check_if_phone_number_is_opted_out),
        operation(list_phone_numbers_opted_out),
        operation(opt_in_phone_number),
        operation(get_sms_sandbox_account_status, name="GetSMSSandboxAccountStatus"),
        operation(list_sms_sandbox_phone_numbers, name="ListSMSSandboxPhoneNumbers"),
        operation(create_sms_sandbox_phone_number, name="CreateSMSSandboxPhoneNumber"),
        operation(verify_sms_sandbox_phone_number, name="VerifySMSSandboxPhoneNumber"),
        operation(delete_sms_sandbox_phone_number, name="DeleteSMSSandboxPhoneNumber"),
        operation(list_origination_numbers),
    ],
    version=_VERSION,
    xml_namespace=f"http://sns.amazonaws.com/doc/{_VERSION}/",
    dialect=Dialect(
        indented=True,
        error_header=False,
        internal_error="InternalError",
        unknown_action=f"Could not find operation {{action}} for version {_VERSION}",
        shape_refusal=shape_refusal,
    ),
)
