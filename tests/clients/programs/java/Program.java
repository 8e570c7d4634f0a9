import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.HealthApi;
import org.openapitools.client.api.NotificationsApi;
import org.openapitools.client.auth.HttpBearerAuth;
import org.openapitools.client.model.*;

/** Uses the client that openapi-generator makes for Java: every step fails loudly when a type does not fit. */
public final class Program {
    private static NotificationsApi api;

    public static void main(String[] arguments) throws Exception {
        ApiClient client = new ApiClient().setBasePath(System.getenv("WAVECOM_URL"));
        ((HttpBearerAuth) client.getAuthentication("apiKey")).setBearerToken(System.getenv("WAVECOM_API_KEY"));
        api = new NotificationsApi(client);

        Accepted accepted = send(new NotificationRequest(sms("+447700900123", " Your code is 493817")));
        check(accepted.getCreatedAt() != null && accepted.getSegments() == 1, accepted);
        Notification found = delivered(accepted);
        check(found.getPayload().getSmsContent().getText().equals(" Your code is 493817"), found);
        check(found.getTo().getSmsRecipient().getPhone().equals("+447700900123"), found);
        check(found.getLogs().get(0).getEvent() == LogEntry.EventEnum.ACCEPTED, found.getLogs());
        check(found.getLogs().get(1).getEvent() == LogEntry.EventEnum.DELIVERED, found.getLogs());

        Attachment file = new Attachment()
            .filename("receipt.pdf")
            .contentType("application/pdf")
            .content(java.util.Base64.getEncoder().encodeToString("%PDF-1.7".getBytes(StandardCharsets.US_ASCII)));
        EmailNotification email = new EmailNotification()
            .type(EmailNotification.TypeEnum.EMAIL)
            .to(new EmailTo().email("amina@example.com").name("Amina"))
            .payload(new EmailPayload().subject("Your receipt").text("Thank you.").attachments(List.of(file)))
            .metadata(Map.of("order", new MetadataValue(new BigDecimal(42))));
        found = delivered(send(new NotificationRequest(email)));
        check(found.getPayload().getEmailContent().getAttachments().get(0).getSize() == 8, found);

        PushNotification push = new PushNotification()
            .type(PushNotification.TypeEnum.PUSH)
            .to(new PushTo().platform(PushTo.PlatformEnum.FCM).token("device-1"))
            .payload(new PushPayload().title("On its way").data(Map.of("order", "42")));
        found = delivered(send(new NotificationRequest(push)));
        check(found.getPayload().getPushContent().getTitle().equals("On its way"), found);

        NotificationPage page = api.listNotifications().limit(2).execute();
        check(page.getItems().size() == 2 && page.getNext() != null, page);

        BatchSms item = new BatchSms()
            .type(BatchSms.TypeEnum.SMS)
            .to(new SmsTo().phone("+447700900124"))
            .payload(new SmsPayload().text("Hello"));
        BatchResults results = api.sendNotifications(new Batch().notifications(List.of(new BatchItem(item))), null);
        check(results.getAccepted() == 1, results);

        Problem refused = problemOf(() -> send(new NotificationRequest(sms("+4477009", "Hello"))));
        check(refused.getCode() == Problem.CodeEnum.INVALID_REQUEST, refused);
        check(refused.getErrors().get(0).getPointer().equals("/to/phone"), refused);
        Problem missing = problemOf(
            () -> api.readNotification(java.util.UUID.fromString("019cebab-8995-7000-8000-000000000001")));
        check(missing.getCode() == Problem.CodeEnum.JOB_NOT_FOUND, missing);

        check(new HealthApi(client).isReady().getStatus().equals("ready"), "not ready");
        System.out.println("every step done");
        System.exit(0);
    }

    private static SmsNotification sms(String phone, String text) {
        return new SmsNotification().type(SmsNotification.TypeEnum.SMS).to(new SmsTo().phone(phone)).payload(new SmsPayload().text(text));
    }

    private static Accepted send(NotificationRequest request) throws ApiException {
        return api.sendNotification(request, null);
    }

    private static Notification delivered(Accepted accepted) throws Exception {
        for (int i = 0; i < 300; i++) {
            Notification found = api.readNotification(accepted.getJobId());
            if (found.getStatus() == Notification.StatusEnum.DELIVERED) {
                return found;
            }
            Thread.sleep(100);
        }
        throw new IllegalStateException(accepted.getJobId() + " was not delivered");
    }

    private interface Call {
        Object make() throws ApiException;
    }

    private static Problem problemOf(Call call) throws Exception {
        try {
            call.make();
        } catch (ApiException failed) {
            return Problem.fromJson(failed.getResponseBody());
        }
        throw new IllegalStateException("it was taken");
    }

    private static void check(boolean good, Object what) {
        if (!good) {
            throw new IllegalStateException("not as expected: " + what);
        }
    }
}
