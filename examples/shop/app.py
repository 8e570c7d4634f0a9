"""The shop's pages."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from flask import Flask, Response, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from . import callbacks
from .store import Store

CURRENCY = "CHF"
#: Name and price.
ITEMS = {"pen": ("Fountain pen", Decimal("48.00")), "ink": ("Blue ink", Decimal("12.50"))}
LOCALES = {"en": "English", "de-CH": "Deutsch"}
CONFIRMED, SHIPPED = "shop-order-confirmed", "shop-order-shipped"
WORDS = {
    "waiting": "About to be sent",
    "refused": "Cannot be sent",
    "queued": "On its way",
    "scheduled": "Planned",
    "retrying": "Being tried again",
    "sent": "Sent",
    "delivered": "Delivered",
    "failed": "Could not be delivered",
    "unconfirmed": "Perhaps delivered",
    "expired": "Not delivered in time",
    "cancelled": "Cancelled",
}
TITLES = {CONFIRMED: "Order confirmed", SHIPPED: "Parcel on its way"}


def create_app(store: Store, wake: Callable[[], None], address: str) -> Flask:
    """The application over ``store``; ``wake`` has messages sent soon; ``address`` is the shop's own, for links."""
    app = Flask(__name__)
    app.config.update(MAX_CONTENT_LENGTH=1024 * 1024, TRUSTED_HOSTS=["127.0.0.1", "localhost"])
    app.jinja_env.globals.update(words=WORDS, titles=TITLES, items=ITEMS, locales=LOCALES, currency=CURRENCY)

    app.register_blueprint(callbacks.make_blueprint(store))

    @app.before_request
    def refuse_other_sites() -> None:
        # Browsers say where a request comes from; WaveCom is no browser and says nothing.
        if request.method == "POST" and request.headers.get("Sec-Fetch-Site", "none") not in {"same-origin", "none"}:
            abort(403)

    @app.after_request
    def secure(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = "default-src 'self'; frame-ancestors 'none'; form-action 'self'"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Cache-Control"] = "no-cache" if request.endpoint == "static" else "no-store"
        return response

    @app.get("/")
    def shop() -> str:
        # The number of the order is made with the form: one that is sent twice is one order.
        return render_template("shop.html", form={"id": secrets.token_hex(8)}, errors={}, orders=store.orders())

    @app.post("/orders")
    def order() -> BaseResponse | tuple[str, int]:
        form = {name: value.strip() for name, value in request.form.items()}
        if not re.fullmatch("[0-9a-f]{16}", form.get("id", "")):
            abort(400)
        errors = problems(form)
        if errors:
            return render_template("shop.html", form=form, errors=errors, orders=[]), 422
        order: dict[str, Any] = {**form, "quantity": int(form["quantity"])}
        link = address + url_for("show", order_id=order["id"])
        title, price = ITEMS[order["item"]]
        total = {"amount": str(price * order["quantity"]), "currency": CURRENCY}
        lines = [{"title": title, "quantity": order["quantity"], "price": total}]
        variables = {"name": order["name"], "number": order["id"], "total": total, "lines": lines, "link": link}
        store.add_order(order, CONFIRMED, message(order, CONFIRMED, variables))
        wake()
        return redirect(url_for("show", order_id=order["id"]), 303)

    @app.get("/orders/<order_id>")
    def show(order_id: str) -> str:
        return render_template("order.html", order=store.order(order_id) or abort(404))

    @app.get("/orders/<order_id>/status")
    def status(order_id: str) -> str:
        return render_template("status.html", order=store.order(order_id) or abort(404))

    @app.post("/orders/<order_id>/ship")
    def ship(order_id: str) -> BaseResponse:
        # In a shop of yours this is for who packs parcels, behind a login.
        order = store.order(order_id) or abort(404)
        link = address + url_for("show", order_id=order_id)
        due = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
        variables = {"name": order["name"], "number": order_id, "due": due, "link": link}
        store.add_message(order_id, SHIPPED, message(order, SHIPPED, variables))
        wake()
        return redirect(url_for("show", order_id=order_id), 303)

    return app


def problems(form: dict[str, str]) -> dict[str, str]:
    """What is wrong with an order, by field. What only WaveCom can know, its answer says."""
    found = {}
    if not 1 <= len(form.get("name", "")) <= 60:
        found["name"] = "Enter your name, of at most 60 characters."
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+|\+[0-9 ]{7,20}", form.get("contact", "")):
        found["contact"] = "Enter an e-mail address such as amina@example.com, or a number such as +41 79 123 45 67."
    if form.get("item") not in ITEMS:
        found["item"] = "Choose one of the items."
    if not re.fullmatch("[1-9]", form.get("quantity", "")):
        found["quantity"] = "Enter a number from 1 to 9."
    if form.get("locale") not in LOCALES:
        found["locale"] = "Choose one of the languages."
    return found


def message(order: dict[str, Any], template: str, variables: dict[str, Any]) -> dict[str, Any]:
    """The notification: what happened, to whom. The words are the template's."""
    about = customer(order)
    return {
        "type": "email" if "email" in about["fields"] else "sms",
        "to": {"recipient": about["id"]},
        "category": "orders",
        "template": template,
        "variables": variables,
        "metadata": {"order": order["id"]},
        "customer": about,
    }


def customer(order: dict[str, Any]) -> dict[str, Any]:
    """Whom WaveCom is to know before the message is sent: an id of the shop's own, and what belongs to it."""
    is_mail = "@" in order["contact"]
    fields: dict[str, Any] = {"email" if is_mail else "phone": order["contact"], "locale": order["locale"]}
    fields["timeZone"] = "Europe/Zurich"
    if order.get("news"):
        # Who does not ask for news now may have done so before: only a yes is told.
        fields["preferences"] = {"news": {"email" if is_mail else "sms": True}}
    return {"id": f"customer-{hashlib.sha256(order['contact'].encode()).hexdigest()[:16]}", "fields": fields}
