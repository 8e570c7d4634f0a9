// Uses the client that openapi-generator makes for TypeScript: the compiler or a step fails when a type does not fit.
import {
  Configuration,
  HealthApi,
  NotificationsApi,
  ResponseError,
  type Notification,
  type NotificationRequest,
  type Problem,
} from "./client";

const configuration = new Configuration({
  basePath: process.env.WAVECOM_URL,
  accessToken: process.env.WAVECOM_API_KEY,
});
const api = new NotificationsApi(configuration);

function check(good: boolean, ...what: unknown[]): void {
  if (!good) {
    throw new Error(`not as expected: ${JSON.stringify(what)}`);
  }
}

async function send(notificationRequest: NotificationRequest) {
  return api.sendNotification({ notificationRequest });
}

async function delivered(jobId: string): Promise<Notification> {
  for (let i = 0; i < 300; i += 1) {
    const found = await api.readNotification({ jobId });
    if (found.status === "delivered") {
      return found;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${jobId} was not delivered`);
}

async function problemOf(call: Promise<unknown>): Promise<Problem> {
  try {
    await call;
  } catch (error) {
    if (error instanceof ResponseError) {
      return (await error.response.json()) as Problem;
    }
    throw error;
  }
  throw new Error("it was taken");
}

async function main(): Promise<void> {
  const accepted = await send({
    type: "sms",
    to: { phone: "+447700900123" },
    payload: { text: " Your code is 493817" },
  });
  check(accepted.createdAt instanceof Date && accepted.segments === 1, accepted);
  const sms = await delivered(accepted.jobId);
  check("text" in sms.payload && sms.payload.text === " Your code is 493817", sms);
  check("phone" in sms.to && sms.to.phone === "+447700900123", sms);
  check(sms.logs.map((entry) => entry.event).join() === "accepted,delivered", sms.logs);

  const email = await delivered(
    (
      await send({
        type: "email",
        to: { email: "amina@example.com", name: "Amina" },
        payload: {
          subject: "Your receipt",
          text: "Thank you.",
          attachments: [
            { filename: "receipt.pdf", contentType: "application/pdf", content: btoa("%PDF-1.7") },
          ],
        },
      })
    ).jobId,
  );
  check("attachments" in email.payload && email.payload.attachments?.[0].size === 8, email);

  const push = await delivered(
    (
      await send({
        type: "push",
        to: { platform: "fcm", token: "device-1" },
        payload: { title: "On its way", data: { order: "42" } },
      })
    ).jobId,
  );
  check("title" in push.payload && push.payload.title === "On its way", push);

  const page = await api.listNotifications({ limit: 2 });
  check(page.items.length === 2 && typeof page.next === "string", page);

  const results = await api.sendNotifications({
    batch: { notifications: [{ type: "sms", to: { phone: "+447700900124" }, payload: { text: "Hello" } }] },
  });
  check(results.accepted === 1 && results.results[0].notification?.status === "queued", results);

  const refused = await problemOf(send({ type: "sms", to: { phone: "+4477009" }, payload: { text: "Hello" } }));
  check(refused.code === "invalid_request" && refused.errors?.[0].pointer === "/to/phone", refused);

  const missing = await problemOf(api.readNotification({ jobId: "019cebab-8995-7000-8000-000000000001" }));
  check(missing.code === "job_not_found", missing);

  check((await new HealthApi(configuration).isReady()).status === "ready");
  console.log("every step done");
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
