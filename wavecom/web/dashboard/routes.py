"""Every address of the pages, with the permission that it asks for; none can be written down without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from wavecom.core.roles import Permission
from wavecom.web.dashboard import (
    audit,
    bulk_cancel,
    callbacks,
    campaigns,
    clients,
    dead_letters,
    job_actions,
    message_templates,
    notifications,
    operations,
    outbox,
    overview,
    own_password,
    preview,
    providers,
    reveal,
    send,
    send_elsewhere,
    session_list,
    settings_list,
    sign_out,
    status,
    suppressions,
    system,
    user_list,
)

_P = Permission


@dataclass(frozen=True, slots=True)
class PageRoute:
    """One address. ``get`` and ``post``: the permission of each method; None: the address does not take it."""

    path: str
    endpoint: str
    view: Callable[..., Any]
    get: Permission | None = None
    post: Permission | None = None

    @property
    def methods(self) -> list[str]:
        """The methods that it takes."""
        taken = (("GET", self.get), ("POST", self.post))
        return [method for method, permission in taken if permission is not None]

    def permission(self, method: str) -> Permission:
        """What a request with this method needs; HEAD and OPTIONS are asked as GET is, where there is one.

        Raises ``ValueError`` for a method that the page does not take.
        """
        wanted = self.post if method == "POST" or self.get is None else self.get
        if wanted is None:
            raise ValueError(f"{self.endpoint} takes no {method}")
        return wanted


#: Behind the login.
ROUTES: Final = (
    PageRoute("/", "home", status.home, get=_P.LOOK),
    PageRoute("/logout", "logout", sign_out.logout, post=_P.LOOK),
    PageRoute("/status", "status", status.status, get=_P.LOOK),
    PageRoute("/status/live", "status_live", status.status_live, get=_P.LOOK),
    PageRoute("/overview", "overview", overview.overview, get=_P.SEE_SYSTEM),
    PageRoute("/overview/live", "overview_live", overview.overview_live, get=_P.SEE_SYSTEM),
    PageRoute("/overview/stream", "overview_stream", overview.overview_stream, get=_P.SEE_SYSTEM),
    PageRoute("/notifications", "notifications", notifications.notifications, get=_P.LOOK),
    PageRoute("/notifications/cancel", "cancel_matching", bulk_cancel.cancel_matching, get=_P.BULK, post=_P.BULK),
    PageRoute("/notifications/<job_id>", "notification", notifications.notification, get=_P.LOOK),
    PageRoute("/notifications/<job_id>/live", "notification_live", notifications.notification_live, get=_P.LOOK),
    PageRoute("/notifications/<job_id>/reveal", "reveal", reveal.reveal, get=_P.REVEAL, post=_P.REVEAL),
    PageRoute("/notifications/<job_id>/preview", "preview", preview.preview, get=_P.READ_MESSAGES),
    PageRoute("/notifications/<job_id>/preview/frame", "preview_frame", preview.preview_frame, get=_P.READ_MESSAGES),
    PageRoute("/notifications/<job_id>/cancel", "cancel", job_actions.cancel, get=_P.CHANGE, post=_P.CHANGE),
    PageRoute("/notifications/<job_id>/retry", "retry", job_actions.retry, get=_P.CHANGE, post=_P.CHANGE),
    PageRoute(
        "/notifications/<job_id>/elsewhere",
        "send_elsewhere",
        send_elsewhere.send_elsewhere,
        get=_P.SEND_ELSEWHERE,
        post=_P.SEND_ELSEWHERE,
    ),
    PageRoute("/notifications/<job_id>/settle", "settle", job_actions.settle, get=_P.CHANGE, post=_P.CHANGE),
    PageRoute("/providers", "providers", providers.providers, get=_P.SEE_PROVIDERS),
    PageRoute(
        "/providers/<name>/<lever>",
        "provider_lever",
        providers.provider_lever,
        get=_P.CONTROL_PROVIDERS,
        post=_P.CONTROL_PROVIDERS,
    ),
    PageRoute("/dead-letters", "dead_letters", dead_letters.dead_letters, get=_P.SEE_SYSTEM),
    PageRoute("/operations", "operations", operations.operations, get=_P.SEE_SYSTEM),
    PageRoute("/dead-letters/<action>", "new_operation", operations.new_operation, get=_P.BULK, post=_P.BULK),
    PageRoute("/operations/<operation_id>", "operation", operations.operation, get=_P.SEE_SYSTEM),
    PageRoute("/operations/<operation_id>/live", "operation_live", operations.operation_live, get=_P.SEE_SYSTEM),
    PageRoute("/operations/<operation_id>/stop", "stop_operation", operations.stop_operation, post=_P.BULK),
    PageRoute("/operations/<operation_id>/resume", "resume_operation", operations.resume_operation, post=_P.BULK),
    PageRoute("/suppressions", "suppressions", suppressions.suppressions, get=_P.LOOK),
    PageRoute("/suppressions/add", "add_suppression", suppressions.add_suppression, get=_P.CHANGE, post=_P.CHANGE),
    PageRoute("/suppressions/<suppression_id>", "suppression", suppressions.suppression, get=_P.LOOK),
    PageRoute("/suppressions/<suppression_id>/lift", "lift_suppression", suppressions.lift_suppression, post=_P.CHANGE),
    PageRoute("/campaigns", "campaigns", campaigns.campaigns, get=_P.LOOK),
    PageRoute("/campaigns/add", "add_campaign", campaigns.add_campaign, get=_P.SEND, post=_P.SEND),
    PageRoute("/campaigns/<campaign_id>", "campaign", campaigns.campaign, get=_P.LOOK),
    PageRoute("/campaigns/<campaign_id>/live", "campaign_live", campaigns.campaign_live, get=_P.LOOK),
    PageRoute("/campaigns/<campaign_id>/export", "campaign_export", campaigns.campaign_export, get=_P.LOOK),
    PageRoute("/campaigns/<campaign_id>/change", "change_campaign", campaigns.change_campaign, post=_P.CHANGE),
    PageRoute("/callbacks", "callbacks", callbacks.callbacks, get=_P.LOOK),
    PageRoute("/callbacks/add", "add_callback", callbacks.add_callback, get=_P.CHANGE, post=_P.CHANGE),
    PageRoute("/callbacks/<callback_id>", "callback", callbacks.callback, get=_P.LOOK),
    PageRoute("/callbacks/<callback_id>/edit", "edit_callback", callbacks.edit_callback, get=_P.CHANGE, post=_P.CHANGE),
    PageRoute("/callbacks/<callback_id>/change", "change_callback", callbacks.change_callback, post=_P.CHANGE),
    PageRoute("/templates", "templates", message_templates.templates, get=_P.LOOK),
    PageRoute("/templates/<account>/<template>", "template", message_templates.template, get=_P.LOOK),
    PageRoute(
        "/templates/<account>/<template>/<version>/frame",
        "template_frame",
        message_templates.template_frame,
        get=_P.LOOK,
    ),
    PageRoute(
        "/templates/<account>/<template>/change", "change_template", message_templates.change_template, post=_P.CHANGE
    ),
    PageRoute("/outbox", "outbox", outbox.outbox, get=_P.READ_MESSAGES),
    PageRoute("/send", "send", send.send, get=_P.SEND, post=_P.SEND),
    PageRoute("/system", "system", system.system, get=_P.SEE_SYSTEM),
    PageRoute("/system/live", "system_live", system.system_live, get=_P.SEE_SYSTEM),
    PageRoute("/system/stream", "system_stream", system.system_stream, get=_P.SEE_SYSTEM),
    PageRoute("/clients", "clients", clients.clients, get=_P.SEE_SYSTEM),
    PageRoute("/settings", "settings", settings_list.settings, get=_P.SEE_SYSTEM),
    PageRoute("/audit", "audit", audit.audit, get=_P.SEE_AUDIT),
    PageRoute("/audit/export", "audit_export", audit.audit_export, get=_P.SEE_AUDIT),
    PageRoute("/sessions", "sessions", session_list.sessions, get=_P.OWN_SESSIONS),
    PageRoute("/sessions/<session_id>/end", "end_session", session_list.end_session, post=_P.OWN_SESSIONS),
    PageRoute("/password", "own_password", own_password.own_password, get=_P.OWN_PASSWORD, post=_P.OWN_PASSWORD),
    PageRoute("/users", "users", user_list.users, get=_P.MANAGE_USERS),
    PageRoute("/users/<name>/role", "change_role", user_list.change_role, post=_P.MANAGE_USERS),
    PageRoute("/users/<name>/disable", "disable_user", user_list.disable, post=_P.MANAGE_USERS),
    PageRoute("/users/<name>/enable", "enable_user", user_list.enable, post=_P.MANAGE_USERS),
)

#: Blueprint's endpoint → its route.
BY_ENDPOINT: Final = MappingProxyType({f"dashboard.{route.endpoint}": route for route in ROUTES})

#: What somebody who is not logged in may reach.
OPEN: Final = frozenset(
    {
        "dashboard.login",
        "dashboard.begin_sign_on",
        "dashboard.finish_sign_on",
        "dashboard.signed_out_there",
        "dashboard.static",
    }
)
