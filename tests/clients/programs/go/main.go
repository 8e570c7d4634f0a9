// Uses the client that openapi-generator makes for Go: every step fails loudly when a type does not fit.
package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"time"

	wavecom "github.com/GIT_USER_ID/GIT_REPO_ID"
)

func check(good bool, what ...any) {
	if !good {
		fmt.Println(append([]any{"not as expected:"}, what...)...)
		os.Exit(1)
	}
}

func problemOf(err error) wavecom.Problem {
	var failed *wavecom.GenericOpenAPIError
	check(errors.As(err, &failed), "no problem in", err)
	problem, good := failed.Model().(wavecom.Problem)
	check(good, "another type of problem:", failed.Model())
	return problem
}

func main() {
	configuration := wavecom.NewConfiguration()
	configuration.Servers = wavecom.ServerConfigurations{{URL: os.Getenv("WAVECOM_URL")}}
	client := wavecom.NewAPIClient(configuration)
	ctx := context.WithValue(context.Background(), wavecom.ContextAccessToken, os.Getenv("WAVECOM_API_KEY"))

	send := func(request wavecom.NotificationRequest) *wavecom.Accepted {
		accepted, _, err := client.NotificationsAPI.SendNotification(ctx).NotificationRequest(request).Execute()
		check(err == nil, err)
		return accepted
	}
	delivered := func(id string) *wavecom.Notification {
		var found *wavecom.Notification
		for i := 0; i < 300; i++ {
			var err error
			found, _, err = client.NotificationsAPI.ReadNotification(ctx, id).Execute()
			check(err == nil, err)
			if found.Status == "delivered" {
				return found
			}
			time.Sleep(100 * time.Millisecond)
		}
		check(false, id, "is still", found.Status)
		return nil
	}

	sms := wavecom.NewSmsNotification("sms", *wavecom.NewSmsTo("+447700900123"), *wavecom.NewSmsPayload(" Your code is 493817"))
	accepted := send(wavecom.SmsNotificationAsNotificationRequest(sms))
	check(!accepted.CreatedAt.IsZero() && accepted.GetSegments() == 1, accepted)
	found := delivered(accepted.JobId)
	check(found.Payload.SmsContent != nil && found.Payload.SmsContent.Text == " Your code is 493817", found.Payload)
	check(found.To.SmsRecipient != nil && found.To.SmsRecipient.Phone == "+447700900123", found.To)
	check(len(found.Logs) == 2 && found.Logs[0].Event == "accepted" && found.Logs[1].Event == "delivered", found.Logs)

	payload := wavecom.NewEmailPayload("Your receipt")
	payload.SetText("Thank you.")
	content := base64.StdEncoding.EncodeToString([]byte("%PDF-1.7"))
	payload.SetAttachments([]wavecom.Attachment{*wavecom.NewAttachment("receipt.pdf", "application/pdf", content)})
	email := wavecom.NewEmailNotification("email", *wavecom.NewEmailTo("amina@example.com"), *payload)
	number := float32(42)
	email.SetMetadata(map[string]wavecom.MetadataValue{"order": {Float32: &number}})
	found = delivered(send(wavecom.EmailNotificationAsNotificationRequest(email)).JobId)
	check(found.Payload.EmailContent != nil && found.Payload.EmailContent.Attachments[0].Size == 8, found.Payload)

	to := wavecom.NewPushTo("fcm")
	to.SetToken("device-1")
	push := wavecom.NewPushPayload()
	push.SetTitle("On its way")
	found = delivered(send(wavecom.PushNotificationAsNotificationRequest(wavecom.NewPushNotification("push", *to, *push))).JobId)
	check(found.Payload.PushContent != nil && found.Payload.PushContent.GetTitle() == "On its way", found.Payload)

	page, _, err := client.NotificationsAPI.ListNotifications(ctx).Limit(2).Execute()
	check(err == nil && len(page.Items) == 2 && page.Next.IsSet(), err, page)

	item := wavecom.NewBatchSms("sms", *wavecom.NewSmsTo("+447700900124"), *wavecom.NewSmsPayload("Hello"))
	batch := wavecom.NewBatch([]wavecom.BatchItem{wavecom.BatchSmsAsBatchItem(item)})
	results, _, err := client.NotificationsAPI.SendNotifications(ctx).Batch(*batch).Execute()
	check(err == nil && results.Accepted == 1 && results.Results[0].Notification.Status == "queued", err, results)

	bad := wavecom.NewSmsNotification("sms", *wavecom.NewSmsTo("+4477009"), *wavecom.NewSmsPayload("Hello"))
	request := client.NotificationsAPI.SendNotification(ctx).NotificationRequest(wavecom.SmsNotificationAsNotificationRequest(bad))
	_, _, err = request.Execute()
	problem := problemOf(err)
	check(problem.Code == "invalid_request" && problem.Errors[0].GetPointer() == "/to/phone", problem)

	_, _, err = client.NotificationsAPI.ReadNotification(ctx, "019cebab-8995-7000-8000-000000000001").Execute()
	check(problemOf(err).Code == "job_not_found", err)

	ready, _, err := client.HealthAPI.IsReady(ctx).Execute()
	check(err == nil && ready.Status == "ready", err)
	fmt.Println("every step done")
}
